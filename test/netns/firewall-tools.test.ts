/** Hosts that have iptables or nft but not both, or neither: real daemons, with the commands taken away in a mount namespace. */
import assert from 'node:assert/strict';
import { Lab } from '../../lab/lab.ts';
import type { LabProcess } from '../../lab/process.ts';
import { projectBinary } from '../../lab/root.ts';
import type { WeftNode } from '../../lab/weft-node.ts';
import { needs } from '../support/needs.ts';
import { type NodeStatus, statusOf } from '../support/node-status.ts';
import { until } from '../support/until.ts';
import { withoutCommands } from '../support/without-commands.ts';

const { after, before, describe, it } = needs('root');

type Tool = 'iptables' | 'nft';

for (const wanted of ['iptables', 'nftables'] as const) {
  const tool: Tool = wanted === 'iptables' ? 'iptables' : 'nft';
  const otherTool: Tool = wanted === 'iptables' ? 'nft' : 'iptables';
  const other = wanted === 'iptables' ? 'nftables' : 'iptables';

  describe(`netns: the config asks for ${wanted}`, () => {
    let lab: Lab;
    let daemon: LabProcess | undefined;
    const node = (): WeftNode => lab.weftNodes[0] as WeftNode;

    before(async () => {
      const configOptions = { EnableNFTables: wanted === 'nftables' };
      lab = await Lab.build({
        nodes: [{ kind: 'weft' }],
        configOptions,
        flags: ['--ip-masq', '--iptables-resync=1'],
      });
      await node().stop();
    });
    after(() => lab?.close());

    /** The daemon on a host without these tools, until `holds`. */
    async function startWithout(
      tools: readonly Tool[],
      holds: (status: NodeStatus) => boolean,
    ): Promise<NodeStatus> {
      const [command, ...args] = withoutCommands(tools, node().command());
      daemon = node().namespace.spawn(command, args);
      let status: NodeStatus | undefined;
      await until('the daemon says so', async () => {
        status = await statusOf(node()).catch(() => undefined);
        return status !== undefined && holds(status);
      });
      return status as NodeStatus;
    }

    async function stop(): Promise<string> {
      await daemon?.stop(10_000);
      return daemon?.output ?? '';
    }

    /** What the doctor and `weft status` say on such a host. */
    async function said(tools: readonly Tool[]): Promise<{ doctor: string; status: string }> {
      const weft = async (...words: string[]): Promise<string> => {
        const line = [process.execPath, projectBinary('weft'), ...words];
        const [command, ...args] = withoutCommands(tools, [
          ...line,
          `--admin-socket=${node().adminSocket}`,
        ]);
        const options = { allowFailure: true, timeoutMs: 30_000 };
        return (await node().namespace.exec(command, args, options)).stdout;
      };
      const only = '--only=firewall-rules,forward-policy,port-blocked';
      return { doctor: await weft('doctor', only), status: await weft('status') };
    }

    /** Which kinds have rules in the node, by the commands of this machine, which has both. */
    async function inPlace(): Promise<string[]> {
      const { namespace } = node();
      const nft = (await namespace.exec('nft', ['list', 'tables'])).stdout;
      const iptables = (await namespace.exec('iptables', ['-t', 'nat', '-S'])).stdout;
      return [
        ...(iptables.includes('FLANNEL-POSTRTG') ? ['iptables'] : []),
        ...(nft.includes('flannel-ipv4') ? ['nftables'] : []),
      ];
    }

    it(`without ${tool} the rules are written by ${otherTool}, and the log says so once`, async () => {
      const { firewall } = await startWithout([tool], ({ firewall }) => firewall?.ok === true);
      assert.equal(firewall.kind, other);
      // Another look at the rules, with nothing more to say.
      await node().namespace.exec(...emptied(other));
      await until('healed', () => /firewall rules healed/.test(daemon?.output ?? ''));
      const { doctor, status } = await said([tool]);
      assert.match(doctor, new RegExp(`in place, by ${other}`));
      for (const check of ['forward-policy', 'port-blocked'])
        assert.match(doctor, new RegExp(`✓ ${check} +\\d sample packets pass`));
      assert.match(status, new RegExp(`firewall +rules in place, by ${other}`));
      const log = await stop();
      const line = `${tool} is not installed: firewall rules are written by ${otherTool}`;
      assert.equal(log.split(line).length - 1, 1, log);
      assert.ok((await inPlace()).includes(other));
    });

    it(`once both are there ${wanted} is used, and what the other kind left goes`, async () => {
      assert.ok((await inPlace()).includes(other));
      const { firewall } = await startWithout([], ({ firewall }) => firewall?.ok === true);
      assert.equal(firewall.kind, wanted);
      assert.deepEqual(await inPlace(), [wanted]);
      const log = await stop();
      assert.match(log, /firewall rules of the other kind: /);
      assert.doesNotMatch(log, /is not installed/);
    });

    it('without both the node is not ready, and says what to install', async () => {
      const { notReady, firewall } = await startWithout(
        ['iptables', 'nft'],
        ({ notReady }) => notReady !== null && /neither/.test(notReady),
      );
      assert.match(notReady ?? '', /neither iptables nor nft is installed; install one of them/);
      assert.deepEqual(firewall, { ok: false, problem: notReady, kind: null });
      await stop();
    });
  });
}

/** The command that damages the rules of a kind. */
function emptied(kind: 'iptables' | 'nftables'): [string, string[]] {
  return kind === 'iptables'
    ? ['iptables', ['-t', 'nat', '-F', 'FLANNEL-POSTRTG']]
    : ['nft', ['flush', 'chain', 'ip', 'flannel-ipv4', 'postrtg']];
}
