/** Numbers and times as people read them. */
const STEPS = ['', 'k', 'M', 'G', 'T'];

/** Three significant digits and a decimal prefix: 1.23 k, 45.6 M. */
function scaled(value) {
  let step = 0;
  let rest = value;
  while (rest >= 999.5 && step < STEPS.length - 1) {
    rest /= 1000;
    step++;
  }
  const digits = step === 0 && Number.isInteger(rest) ? 0 : rest < 9.995 ? 2 : rest < 99.95 ? 1 : 0;
  return [String(Number(rest.toFixed(digits))), STEPS[step]];
}

export function bitRate(bits) {
  const [number, prefix] = scaled(bits);
  return `${number} ${prefix}bit/s`;
}

export function packetRate(packets) {
  const [number, prefix] = scaled(packets);
  return `${number}${prefix && ` ${prefix}`} packets/s`;
}

export function dropRate(packets) {
  const [number, prefix] = scaled(packets);
  return `${number}${prefix && ` ${prefix}`} drops/s`;
}

export function count(value) {
  const [number, prefix] = scaled(value);
  return prefix ? `${number} ${prefix}` : number;
}

export function milliseconds(ms) {
  return ms < 1 ? `${Math.round(ms * 1000)} µs` : `${Number(ms.toFixed(ms < 10 ? 2 : 1))} ms`;
}

/** A length of time, its two largest units: "3 h 12 min". */
export function span(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const units = [
    [86_400, 'd'],
    [3600, 'h'],
    [60, 'min'],
    [1, 's'],
  ];
  const first = units.findIndex(([size]) => seconds >= size);
  if (first < 0) return '0 s';
  const [size, name] = units[first];
  const whole = `${Math.floor(seconds / size)} ${name}`;
  const [smaller, smallerName] = units[first + 1] ?? [];
  const rest = smaller ? Math.floor((seconds % size) / smaller) : 0;
  return rest > 0 ? `${whole} ${rest} ${smallerName}` : whole;
}

export function ago(time, nowMs) {
  const ms = nowMs - Date.parse(time);
  return ms < 1500 ? 'just now' : `${span(ms)} ago`;
}

export const clock = (date) => date.toLocaleTimeString('en-GB');

/** "10.244.1.0-24" as "10.244.1.0/24"; keys of two families are joined by "&". */
export const subnetOf = (key) => key.replace(/-(\d+)(?=&|$)/g, '/$1').replace('&', ', ');
