/** A data plane under test, and the pair of pods that it joins. */
import type { Namespace } from '../../../lab/namespace.ts';
import type { Link } from '../links.ts';
import type { Unpacked } from '../unpacked.ts';

/** One end of a measurement. */
export interface Endpoint {
  namespace: Namespace;
  /** address of the pod in it, of the link's family */
  address: string;
}

/** Two pods on two nodes, joined by the plane. Idle until a work runs. Close it, whatever happened. */
export interface Rig {
  from: Endpoint;
  to: Endpoint;
  /** namespaces of the nodes: what runs in them is the plane's own */
  nodes: readonly Namespace[];
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
  /** what it needs besides, unpacked and not installed */
  unpacked?: Unpacked;
  /** measured with every kind of work and on every link; others with the main ones */
  core: boolean;
  /** Builds the rig and returns when a pod reaches the other. Throws, with nothing left behind, when it can't. */
  build(link: Link): Promise<Rig>;
}
