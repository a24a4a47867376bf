/** One echo, inside whatever namespace and with whatever rights it was started: node echo.js SOURCE TARGET PAYLOAD. Prints JSON. */
import { EchoSender } from '../../../src/control/reach/echo.ts';
import { loadAddon } from '../../../src/memory/addon.ts';
import { familyOf, parseAddress, type Words } from '../../../src/shared/address.ts';

const [source = '', target = '', payload = '56'] = process.argv.slice(2);
const [from, to] = [parseAddress(source), parseAddress(target)] as [Words, Words];
const addon = loadAddon();
let raw: boolean | undefined;
const sender = new EchoSender(
  {
    openEcho: (family, address) => {
      const opened = addon.openEcho(family, address);
      raw = opened.raw;
      return opened;
    },
    echoSend: addon.echoSend,
    echoReceive: addon.echoReceive,
    watch: addon.watch,
    watchAgain: addon.watchAgain,
    unwatch: addon.unwatch,
    close: addon.close,
  },
  { [familyOf(from)]: from },
);
const result = await sender.send(to, { payloadBytes: Number(payload), timeoutMs: 1_000 });
sender.close();
process.stdout.write(JSON.stringify({ ...result, raw }));
