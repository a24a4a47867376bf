/**
 * etcd3's client, which keeps a channel that has no connection yet. etcd3 closes its channels after each failed call; grpc-js makes the
 * connection of a closed channel all the same when the pause between two tries ends (Subchannel.continueConnecting), and nobody could
 * end that one any more: each outage of etcd would leave some behind for good.
 */
import { type Client, connectivityState } from '@grpc/grpc-js';
import { Etcd3, type IOptions } from 'etcd3';

const TRYING: readonly connectivityState[] = [
  connectivityState.CONNECTING,
  connectivityState.TRANSIENT_FAILURE,
];

/** What etcd3's types leave out. */
interface Host {
  readonly cachedServices: Readonly<Record<string, Client>>;
  resetAllServices(): void;
}

export class EtcdClient extends Etcd3 {
  private readonly hosts: readonly Host[];
  private isEnding = false;

  constructor(options: IOptions) {
    super(options);
    this.hosts = this.pool['hosts'] as readonly Host[];
    for (const host of this.hosts) {
      const reset = host.resetAllServices.bind(host);
      host.resetAllServices = () => {
        if (this.isEnding || !this.isTrying) reset();
      };
    }
  }

  /** It has no connection and goes on trying to get one. Who closes it now may get a connection that stays. */
  get isTrying(): boolean {
    const services = this.hosts.flatMap(({ cachedServices }) => Object.values(cachedServices));
    return services.some((service) =>
      TRYING.includes(service.getChannel().getConnectivityState(false)),
    );
  }

  override close(): void {
    this.isEnding = true;
    super.close();
  }
}
