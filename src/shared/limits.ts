/** Every bound of the program, with the reason for its size. */

/** Peers in one table: flannel's largest clusters have some thousand nodes; a dual-stack lease takes two. */
export const PEERS_MAX = 65_536;
/** Distinct prefix lengths of leases per family, each of which costs every packet a look-up; a cluster normally has one. */
export const PREFIX_LENGTHS_MAX = 32;
/** Addresses of this host that are kept from being an inner source: kube-proxy in IPVS mode gives a node one for each service. */
export const LOCAL_ADDRESSES_MAX = 16_384;
/** TUN queues the kernel grants one device (MAX_TAP_QUEUES is 256); more workers than cores never help. */
export const WORKERS_MAX = 64;
/** Bytes of a store value or of the network config that we are willing to parse. */
export const STORE_VALUE_BYTES_MAX = 16_384;
/** Longest time a worker sleeps: bounds how late it sees a stop word if a wake-up is lost. */
export const WAIT_MS_MAX = 100;
/** ICMP errors a worker sends per second, and at once. */
export const ICMP_PER_SECOND = 100;
export const ICMP_BURST = 50;
/** Descriptors taken over from the process before: four for each of 64 workers and two families. */
export const FDS_MAX = 512;
/** Headers of dropped packets that a worker keeps per second, and at once: enough to see every kind, too few to cost anything. */
export const DROP_SAMPLES_PER_SECOND = 200;
export const DROP_SAMPLES_BURST = 50;
/** Packets that a worker copies for a capture per second, and at once: some hundredths of a core. */
export const CAPTURE_PER_SECOND = 20_000;
export const CAPTURE_BURST = 2_000;
/** ICMP echoes that a node sends per second, whoever asks for them: some 20 kB/s. */
export const ECHOES_PER_SECOND = 200;
/** Bytes of another daemon's row: a thousand cells take some 80 kB. */
export const REACH_ANSWER_BYTES_MAX = 256 << 10;
/** Bytes of the file from which a node may start: a full table of leases with some 300 bytes each, and room. */
export const MEMORY_BYTES_MAX = 32 << 20;

/** Of the key of a lease; the longest are names of Kubernetes' Nodes. */
export const LEASE_KEY_CHARACTERS_MAX = 253;
