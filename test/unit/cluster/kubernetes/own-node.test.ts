/** What a node writes to its Node object, beside what flannel's daemon was recorded to write in the same situation. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { kindOf } from '../../../../src/cluster/kinds/all.ts';
import { annotationNames } from '../../../../src/cluster/kubernetes/annotations.ts';
import type { KubernetesClient } from '../../../../src/cluster/kubernetes/client.ts';
import { whyUnfit } from '../../../../src/cluster/kubernetes/kubernetes-registry.ts';
import { type NodeRecord, recordOf, subnetsOf } from '../../../../src/cluster/kubernetes/node.ts';
import { OwnNode } from '../../../../src/cluster/kubernetes/own-node.ts';
import type { LeaseAttributes } from '../../../../src/cluster/lease/lease.ts';
import { type NetworkConfig, parseNetworkConfig } from '../../../../src/cluster/network-config.ts';
import type { Notice } from '../../../../src/cluster/registry.ts';
import { parseAddress, parseMac, type Words } from '../../../../src/shared/address.ts';
import { systemClock } from '../../../../src/shared/clock.ts';
import { projectRoot } from '../../../../src/shared/root.ts';
import { FakeClock, settle } from '../../../support/fake-clock.ts';
import { keepLog } from '../../../support/log-lines.ts';

interface Recorded {
  case: string;
  flags: string;
  netConf: object;
  annotationsBefore: Record<string, string>;
  patches: { metadata?: { annotations: Record<string, string> }; status?: object }[];
  exit: string;
}

const file = path.join(projectRoot(), 'test/golden/kubernetes-nodes.json');
const CASES = JSON.parse(readFileSync(file, 'utf8')) as Recorded[];
const DEFAULT_PREFIX = 'flannel.alpha.coreos.com';
const UNFIT = /podCIDR/;

const prefixOf = ({ flags }: Recorded): string =>
  /kube-annotation-prefix (\S+)/.exec(flags)?.[1] ?? DEFAULT_PREFIX;

/** The Node as it was: dual-stack and IPv6-only where the case says so. */
function nodeOf(recorded: Recorded): NodeRecord {
  const { case: title, netConf, annotationsBefore } = recorded;
  const config = netConf as { EnableIPv4?: boolean; EnableIPv6?: boolean };
  const pods: string[] = [];
  if (title === 'podCIDR outside Network') pods.push('10.9.1.0/24');
  else if (title !== 'no podCIDR yet' && config.EnableIPv4 !== false) pods.push('10.244.1.0/24');
  if (config.EnableIPv6 && !title.includes('podCIDR only')) pods.push('fd00:244:0:1::/64');
  const metadata = { name: 'n1', uid: 'u1', annotations: annotationsBefore };
  const spec = { podCIDR: pods[0] ?? '', podCIDRs: pods };
  const record = recordOf({ metadata, spec }, annotationNames(prefixOf(recorded)));
  assert.ok(record);
  return record;
}

/** What the backend of the case publishes, with the MACs that were chosen in the recorded run. */
function attributesOf(recorded: Recorded, config: NetworkConfig): LeaseAttributes {
  const kind = kindOf(config.backend);
  const written = { ...recorded.annotationsBefore, ...recorded.patches[0]?.metadata?.annotations };
  const address = (text: string): Words => parseAddress(text) as Words;
  const publicIp = /public-ip (\S+)/.exec(recorded.flags)?.[1] ?? '10.99.0.1';
  const attributes: LeaseAttributes = { backendType: kind.publishes };
  if (config.ipv4) attributes.publicIp4 = address(publicIp);
  if (config.ipv6) attributes.publicIp6 = address('fd99::1');
  const vtep = kind.tunnel?.(config.backend).vtep;
  const data = (suffix: string): object | undefined => {
    const text = Object.entries(written).find(([name]) => name.endsWith(suffix))?.[1];
    const mac = parseMac(/VtepMAC":"([^"]+)/.exec(text ?? '')?.[1] ?? '');
    return mac && vtep?.leaseData(mac);
  };
  if (vtep && config.ipv4) attributes.backendData = data('backend-data');
  if (vtep && config.ipv6) attributes.backendV6Data = data('backend-v6-data');
  if (kind.publishes === 'extension') attributes.backendData = 'hello';
  return attributes;
}

/** An API server that takes every patch and tells of none. */
function recordingClient(): { client: KubernetesClient; patches: unknown[] } {
  const patches: unknown[] = [];
  const client = {
    patch: (place: string, patch: unknown) => {
      assert.equal(place, '/api/v1/nodes/n1/status');
      patches.push(patch);
      return Promise.resolve({});
    },
  };
  return { client: client as unknown as KubernetesClient, patches };
}

function ownNode(recorded: Recorded) {
  const config = parseNetworkConfig(JSON.stringify(recorded.netConf));
  const { client, patches } = recordingClient();
  const parts = {
    client,
    names: annotationNames(prefixOf(recorded)),
    log: keepLog().log,
    subnetsOf,
    tell: () => undefined,
  };
  const attributes = attributesOf(recorded, config);
  const own = new OwnNode(nodeOf(recorded), attributes, { ...parts, clock: systemClock });
  return { own, patches, config };
}

describe('Kubernetes: what a node writes, as recorded of flannel', () => {
  for (const recorded of CASES.filter(({ exit }) => exit === 'ready')) {
    it(recorded.case, async () => {
      const { own, patches, config } = ownNode(recorded);
      assert.equal(whyUnfit(nodeOf(recorded), config), '');
      await own.write();
      if (!recorded.flags.includes('set-node-network-unavailable=false')) await own.sayReady();
      const text = JSON.stringify(patches).replaceAll(/"\d{4}-\d\d-\d\dT[\d:]+Z"/g, '"<time>"');
      assert.deepEqual(JSON.parse(text), recorded.patches);
    });
  }

  for (const title of [
    'podCIDR outside Network',
    'no podCIDR yet',
    'vxlan with IPv6 on, but the node has an IPv4 podCIDR only',
    'host-gw with IPv6 on, but the node has an IPv4 podCIDR only',
  ]) {
    it(`${title}: said, and nothing is written, where flannel ends`, () => {
      const recorded = CASES.find((each) => each.case === title);
      assert.ok(recorded && recorded.exit !== 'ready');
      const config = parseNetworkConfig(JSON.stringify(recorded.netConf));
      assert.match(whyUnfit(nodeOf(recorded), config), UNFIT);
    });
  }

  it('no annotations at all: written, where flannel panics', async () => {
    const recorded = CASES.find((each) => each.case === 'no annotations at all');
    assert.ok(recorded && recorded.exit !== 'ready');
    const { own, patches } = ownNode({
      ...recorded,
      patches: [{ metadata: { annotations: { 'backend-data': '"VtepMAC":"02:00:00:00:00:01"' } } }],
    });
    await own.write();
    assert.deepEqual(patches, [
      {
        metadata: {
          annotations: {
            [`${DEFAULT_PREFIX}/backend-data`]: '{"VNI":1,"VtepMAC":"02:00:00:00:00:01"}',
            [`${DEFAULT_PREFIX}/backend-type`]: 'vxlan',
            [`${DEFAULT_PREFIX}/kube-subnet-manager`]: 'true',
            [`${DEFAULT_PREFIX}/public-ip`]: '10.99.0.1',
          },
        },
      },
    ]);
  });

  it('prefixes: a domain, a domain and a name; anything else is refused', () => {
    assert.equal(annotationNames('org.com').type, 'org.com/backend-type');
    assert.equal(annotationNames('org.com/9').type, 'org.com/9-backend-type');
    assert.equal(annotationNames('org.com/a-').type, 'org.com/a-backend-type');
    for (const bad of ['example', 'Example.org', 'a.b/c/d', '', '/x', 'a.b/ c'])
      assert.throws(() => annotationNames(bad), { code: 'ERR_USAGE', message: /must be a domain/ });
    const refused = CASES.find((each) => each.case === 'prefix without a dot');
    assert.throws(() => annotationNames(prefixOf(refused as Recorded)));
  });

  it('every recorded case is one of the above', () => {
    const others = CASES.filter(({ exit }) => exit !== 'ready').map((each) => each.case);
    assert.deepEqual(others.toSorted(), [
      'host-gw with IPv6 on, but the node has an IPv4 podCIDR only',
      'no annotations at all',
      'no podCIDR yet',
      'podCIDR outside Network',
      'prefix without a dot',
      'vxlan with IPv6 on, but the node has an IPv4 podCIDR only',
    ]);
  });
});

describe('Kubernetes: what others do to the annotations of our Node', () => {
  const names = annotationNames(DEFAULT_PREFIX);
  const attributes: LeaseAttributes = {
    backendType: 'vxlan',
    publicIp4: parseAddress('10.99.0.1') as Words,
    backendData: { VNI: 1, VtepMAC: '02:00:00:00:00:01' },
  };
  type Patch = { metadata: { annotations: Record<string, string | null> } };

  /** A server that keeps the Node; its answers to patches come when the test says so. */
  async function setUp() {
    const clock = new FakeClock();
    const podCIDRs = ['10.244.1.0/24'];
    let annotations: Record<string, string> = {};
    const now = () => ({ metadata: { name: 'n1', uid: 'u1', annotations }, spec: { podCIDRs } });
    const record = (): NodeRecord => recordOf(now(), names) as NodeRecord;
    const change = (changes: Record<string, string | null>): void => {
      const next = Object.entries({ ...annotations, ...changes });
      annotations = Object.fromEntries(
        next.flatMap(([name, text]) => (text === null ? [] : [[name, text] as const])),
      );
    };
    const patches: Patch[] = [];
    const answers: (() => void)[] = [];
    let isHeld = false;
    const client = {
      patch: async (_place: string, patch: Patch) => {
        patches.push(patch);
        change(patch.metadata.annotations);
        const answer = now();
        if (isHeld) await new Promise<void>((resolve) => answers.push(resolve));
        return answer;
      },
    } as unknown as KubernetesClient;
    const { log, messages } = keepLog();
    const reasons: string[] = [];
    const tell = ({ reason }: Notice): void => void reasons.push(reason);
    const parts = { client, names, log, clock, subnetsOf, tell };
    const own = new OwnNode(record(), attributes, parts);
    await own.write();
    assert.equal(own.see(record()), true);
    patches.length = 0;
    const hold = (): void => {
      isHeld = true;
    };
    const answer = async (): Promise<void> => {
      isHeld = false;
      for (const each of answers.splice(0)) each();
      await settle();
    };
    return { own, clock, record, change, patches, hold, answer, messages, reasons };
  }

  it('taken away twice: put back twice, also where news come before the answer', async () => {
    const { own, record, change, patches, hold, answer } = await setUp();
    for (let round = 1; round <= 2; round++) {
      change({ [names.publicIp4]: null });
      hold();
      assert.equal(own.see(record()), false);
      await settle();
      assert.equal(own.see(record()), true); // the news of our patch
      await answer();
      assert.deepEqual([patches.length, own.state], [round, 'held']);
    }
  });

  it("other nodes' news bring the same record again: no alarm, no second patch", async () => {
    const { own, record, change, patches, hold, answer } = await setUp();
    change({ [names.publicIp4]: '192.0.2.1' });
    const foreign = record();
    hold();
    for (let i = 0; i < 5; i++) assert.equal(own.see(foreign), false);
    await settle();
    assert.deepEqual([patches.length, own.state], [1, 'lost']);
    await answer();
    assert.equal(own.see(record()), true);
    assert.equal(own.state, 'held');
  });

  it('somebody who writes it again and again is an alarm, and is written over once a minute', async () => {
    const { own, clock, record, change, patches, messages, reasons } = await setUp();
    for (let i = 0; i < 2; i++) {
      change({ [names.publicIp4]: '192.0.2.1' });
      own.see(record());
      await settle();
      if (i === 0) assert.equal(own.see(record()), true);
      clock.setCalendar(86_400_000); // somebody's setting of the time hides nothing
    }
    assert.deepEqual([patches.length, own.state], [1, 'taken']);
    assert.match(messages.join(), /192\.0\.2\.1\) writes the annotations of this Node/);
    assert.deepEqual(reasons, ['AnnotationsContested']);
    await clock.move(60_000);
    await settle();
    assert.equal(own.see(record()), true);
    assert.deepEqual([patches.length, own.state], [2, 'held']);
  });

  it('another address while a write is on its way: written after it', async () => {
    const { own, clock, record, change, patches, hold, answer } = await setUp();
    change({ [names.type]: null });
    hold();
    own.see(record());
    await settle();
    await own.publish({ ...attributes, publicIp4: parseAddress('10.99.0.5') as Words });
    await answer();
    await clock.move(5_000);
    await settle();
    assert.equal(patches.at(-1)?.metadata.annotations[names.publicIp4], '10.99.0.5');
    assert.equal(own.see(record()), true);
  });
});
