/** What the measurements were made on. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { projectRoot } from '../../src/shared/root.ts';
import { programVersion } from '../../src/shared/version.ts';
import type { BenchResult, Machine } from './result.ts';

const GOVERNOR = '/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor';

function textOf(file: string): string {
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
}

/** `costs`: the program native/tools/costs.c. */
export function describeMachine(costs: string): Machine {
  const measured = JSON.parse(execFileSync(costs, [], { encoding: 'utf8' })) as Partial<Machine>;
  const cpuInfo = textOf('/proc/cpuinfo');
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGib: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    distribution: /^PRETTY_NAME="?([^"\n]+)/m.exec(textOf('/etc/os-release'))?.[1] ?? 'unknown',
    node: process.version,
    governor: textOf(GOVERNOR).trim() || undefined,
    hypervisor: /^flags\s*:.*\bhypervisor\b/m.test(cpuInfo) ? 'virtual machine' : 'none',
    systemCallNs: measured.systemCallNs,
    switchNs: measured.switchNs,
  };
}

/** A line in words; none for results that do not have it. */
export function describeCosts({ systemCallNs, switchNs }: Machine): string[] {
  if (systemCallNs === undefined || switchNs === undefined) return [];
  const us = (ns: number): string => (ns / 1000).toFixed(1);
  return [
    `On this machine a system call takes ${us(systemCallNs)} µs, a switch between processes ${us(switchNs)} µs`,
  ];
}

/** Congestion controls that a socket can ask for. */
export function availableCongestion(): string[] {
  return textOf('/proc/sys/net/ipv4/tcp_available_congestion_control').split(/\s+/).filter(Boolean);
}

/** Version and commit of the tree that is measured; no commit outside a git checkout. */
export function describeWeft(): BenchResult['weft'] {
  const git = (...args: string[]): string | undefined => {
    try {
      const options = { cwd: projectRoot(), stdio: ['ignore', 'pipe', 'ignore'] as const };
      return execFileSync('git', args, { ...options, encoding: 'utf8', stdio: [...options.stdio] });
    } catch {
      return undefined;
    }
  };
  return {
    version: programVersion(),
    commit: git('rev-parse', '--short', 'HEAD')?.trim() ?? 'unknown',
    dirty: (git('status', '--porcelain') ?? '') !== '',
  };
}
