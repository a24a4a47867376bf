/**
 * Run inside a network namespace of its own, by small-mtu.test.ts: the loopback gets an Ethernet MTU, then datagrams larger
 * than it are sent in one message. Prints what happened as JSON.
 */
import { execFileSync } from 'node:child_process';
import { pattern } from './packets.ts';
import { makeRig } from './rig.ts';

execFileSync('ip', ['link', 'set', 'lo', 'up', 'mtu', '1500']);
const results = ([4, 6] as const).map((family) => {
  const rig = makeRig({ family, sockets: 1 });
  const rows = Array.from({ length: 10 }, (_, index) => ({ bytes: pattern(2000, index) }));
  const failed = rig.send(rows);
  const received = rig.receive(10);
  const result = {
    failed,
    fallbacks: rig.stat('gsoFallbacks'),
    datagrams: rig.stat('udpDatagramsOut'),
    equal: received.filter(({ bytes }, index) => rows[index]?.bytes.equals(bytes)).length,
  };
  rig.end();
  return result;
});
process.stdout.write(JSON.stringify(results));
