/** A data plane under test, and the pair of pods that it joins. */
import type { Namespace } from '../../../lab/namespace.ts';
import type { LinkId } from '../result.ts';

/** One end of a measurement. */
export interface Endpoint {
  namespace: Namespace;
  /** IPv4 address of the pod in it */
  address: string;
}

/** Two pods on two nodes, joined by the plane. Idle until a work runs. Close it, whatever happened. */
export interface Rig {
  from: Endpoint;
  to: Endpoint;
  podMtu: number;
  /** of the program or kernel that carries the packets, one line */
  version: string;
  close(): Promise<void>;
}

export interface Plane {
  id: string;
  label: string;
  /** what it does besides carrying packets, such as encryption; empty when nothing */
  besides: string;
  /** Debian packages by the command that shows they are there: { fastd: 'fastd' } */
  commands: Readonly<Record<string, string>>;
  /** Builds the rig and returns when a pod reaches the other. Throws, with nothing left behind, when it can't. */
  build(link: LinkId): Promise<Rig>;
}
