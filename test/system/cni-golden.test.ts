/**
 * The CNI plugin against runs of flannel's own, which test/golden/cni-plugin.json recorded: the same config for the delegate, the same
 * answers and exit codes, the same state. Where flannel's plugin is at fault, BETTER has what is right.
 */
import assert from 'node:assert/strict';
import { readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { projectRoot } from '../../src/shared/root.ts';
import {
  type Answer,
  JANSSON,
  type Json,
  PLUGIN,
  PluginHost,
  SANITIZED_PLUGIN,
} from '../support/cni-plugin.ts';
import { temporaryFolder } from '../support/folder.ts';
import { needs } from '../support/needs.ts';

const { test } = needs('cc', JANSSON);

interface Call {
  command: string;
  plugin: string;
  containerID: string;
  ifname: string;
  config: Json;
}

interface Step {
  /** a change between two runs; then nothing else */
  do?: string;
  command: string;
  containerID: string;
  ifname: string;
  exit: number;
  stdout: Json | '';
  delegateCalls: Call[];
  saved: Record<string, { mode: string; content: unknown }>;
}

interface Case {
  case: string;
  subnetEnv: string | null;
  config: Json | string;
  delegateAnswers: unknown;
  steps: Step[];
}

const CASES: Case[] = JSON.parse(
  readFileSync(path.join(projectRoot(), 'test/golden/cni-plugin.json'), 'utf8'),
);

const NOTHING_SAVED = {};
const asks = (...commands: string[]) => ({ commands });

/** What is right where the recorded step is not: of each case the steps (without the changes between them) that differ. */
const BETTER: Record<string, Record<number, Partial<Step> & { commands?: string[] }>> = {
  // An IPv6 subnet in FLANNEL_SUBNET is refused.
  'ipv6 subnet in the IPv4 key': {
    0: { exit: 1, stdout: { code: 999 }, delegateCalls: [], saved: NOTHING_SAVED },
  },
  // A failed ADD is taken back by the delegate; state stays only where that failed too, for the runtime's DEL.
  'delegate fails': { 0: asks('ADD', 'DEL') },
  'delegate prints junk': { 0: { ...asks('ADD', 'DEL'), saved: NOTHING_SAVED } },
  'delegate missing': { 0: { saved: NOTHING_SAVED } },
  // State is kept until the delegate's DEL succeeded: the next one frees the address.
  'DEL when the delegate fails': {
    1: { saved: { c1: { mode: '0o600', content: 'as given to the delegate' } } },
    2: asks('DEL'),
  },
  // The delegate deletes with what it would get now, and the broken file goes.
  'DEL with broken saved file': { 1: { ...asks('DEL'), saved: NOTHING_SAVED } },
  // CHECK reaches the delegate; nothing that was not added can be in order.
  'CHECK after ADD': { 1: asks('CHECK') },
  'CHECK without ADD': { 0: { exit: 1, stdout: { code: 3 } } },
  'CHECK with prevResult': { 0: { exit: 1, stdout: { code: 3 } } },
  // STATUS and GC reach the delegate; a node without subnet.env is not ready.
  'STATUS 1.1.0': { 0: asks('STATUS') },
  'STATUS without subnet.env': { 0: { exit: 1, stdout: { code: 50 } } },
  'GC 1.1.0': { 0: asks('GC') },
};

/** The first step of a case that ran the delegate has the config that later ones get too. */
function configOf({ steps }: Case): Json {
  const call = steps.flatMap((step) => step.delegateCalls ?? [])[0];
  return call?.config ?? RENDERED;
}

/** Of the cases in which flannel's plugin calls no delegate. */
const RENDERED: Json = {
  cniVersion: '1.1.0',
  ipMasq: false,
  ipam: {
    ranges: [[{ subnet: '10.244.5.0/24' }]],
    routes: [{ dst: '10.244.0.0/16' }],
    type: 'host-local',
  },
  isGateway: true,
  mtu: 1450,
  name: 'cbr0',
  type: 'bridge',
};

function expected(item: Case, step: Step, number: number): Step {
  const { commands, ...better } = BETTER[item.case]?.[number] ?? {};
  if (!commands) return { ...step, ...better };
  const gc = { 'cni.dev/valid-attachments': [] };
  const delegateCalls = commands.map((command) => ({
    command,
    plugin: 'bridge',
    containerID: command === 'GC' ? '' : step.containerID,
    ifname: command === 'GC' ? '' : step.ifname,
    config: { ...configOf(item), ...(command === 'GC' ? gc : {}) },
  }));
  return { ...step, delegateCalls, ...better };
}

/** The state without the plugin's own key, which says whose it is. */
function savedContents(host: PluginHost): Step['saved'] {
  return Object.fromEntries(
    Object.entries(host.saved()).map(([name, { mode, content }]) => {
      const { 'weft/interface': ifname, ...config } = JSON.parse(content);
      assert.equal(ifname, 'eth0');
      return [name, { mode, content: config }];
    }),
  );
}

/** Errors were recorded by code alone, a delegate's own as a whole. */
function assertAnswer(answer: Answer, step: Step): void {
  assert.equal(answer.exit, step.exit, answer.stderr);
  if (step.exit === 0) assert.deepEqual(answer.stdout, step.stdout);
  else assertError(answer.stdout as Json, step.stdout as Json);
}

function assertError({ cniVersion, ...error }: Json, wanted: Json): void {
  assert.match(String(cniVersion), /^\d\.\d\.\d$/);
  assert.notEqual(error['msg'], '');
  assert.deepEqual('msg' in wanted ? error : { code: error['code'] }, wanted);
}

function change(host: PluginHost, what: string): void {
  if (what === 'the delegate fails from here') host.failWith(DELEGATE_ERROR);
  else if (what === 'the delegate works again') host.failWith();
  else if (what === 'the saved file becomes "{"') host.writeState('c1', '{');
  else assert.fail(what);
}

const DELEGATE_ERROR = { code: 11, msg: 'no addresses left', details: 'range full' };

function runStep(host: PluginHost, item: Case, recorded: Step, number: number): void {
  const step = expected(item, recorded, number);
  const given = item.config;
  // A config without a version or a name is given as it is.
  const missing = { cniVersion: undefined, name: undefined };
  const config = typeof given === 'string' ? given : { ...missing, ...given };
  const answer = host.run(step.command, config, {
    CNI_CONTAINERID: step.containerID,
    CNI_IFNAME: step.ifname,
    ...(item.case === 'ADD without CNI_NETNS' ? { CNI_NETNS: undefined } : {}),
  });
  assertAnswer(answer, step);
  assert.deepEqual(host.takeCalls(), step.delegateCalls);
  const saved = Object.entries(step.saved).map(([name, { mode, content }]) => {
    const config = content === 'as given to the delegate' ? configOf(item) : content;
    return [name, { mode, content: config }];
  });
  assert.deepEqual(savedContents(host), Object.fromEntries(saved));
}

function prepare(host: PluginHost, item: Case): void {
  if (item.subnetEnv === null) rmSync(host.subnetFile);
  else host.writeSubnetEnv(item.subnetEnv);
  host.answerWith(item.delegateAnswers);
  if (item.case === 'delegate fails') host.failWith(DELEGATE_ERROR);
}

test('there are 61 recorded cases, and each better one is among them', () => {
  assert.equal(CASES.length, 61);
  const names = CASES.map((item) => item.case);
  assert.deepEqual(
    Object.keys(BETTER).filter((name) => !names.includes(name)),
    [],
  );
});

for (const [build, program] of [
  ['as installed', PLUGIN],
  ['with sanitizers', SANITIZED_PLUGIN],
] as const)
  for (const item of CASES)
    test(`CNI plugin ${build}, as flannel's: ${item.case}`, async (t) => {
      const host = new PluginHost(await temporaryFolder(t), program);
      prepare(host, item);
      let number = 0;
      for (const step of item.steps) {
        if (step.do) change(host, step.do);
        else runStep(host, item, step, number++);
      }
    });
