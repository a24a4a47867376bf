/** A minimal ustar writer (POSIX.1-1988): regular files with short names. */

const BLOCK = 512;
const NAME_BYTES_MAX = 100;

export interface TarEntry {
  name: string;
  content: Uint8Array;
}

/** The archive's bytes. Throws RangeError for a name that does not fit. */
export function tarOf(entries: readonly TarEntry[], mtime: Date): Buffer {
  const parts = entries.flatMap(({ name, content }) => {
    const padding = Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK);
    return [headerOf(name, content.length, mtime), content, padding];
  });
  // Two empty blocks end an archive.
  return Buffer.concat([...parts, Buffer.alloc(2 * BLOCK)]);
}

function headerOf(name: string, size: number, mtime: Date): Buffer {
  if (Buffer.byteLength(name) > NAME_BYTES_MAX) throw new RangeError(`tar: name too long: ${name}`);
  const header = Buffer.alloc(BLOCK);
  const octal = (value: number, at: number, digits: number): void => {
    header.write(`${value.toString(8).padStart(digits, '0')}\0`, at, 'latin1');
  };
  header.write(name, 0);
  octal(0o600, 100, 7);
  octal(0, 108, 7);
  octal(0, 116, 7);
  octal(size, 124, 11);
  octal(Math.floor(mtime.getTime() / 1000), 136, 11);
  header.write('        0', 148, 'latin1'); // blanks stand for the checksum while it is summed; then a regular file
  header.write('ustar\u000000', 257, 'latin1');
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return header;
}
