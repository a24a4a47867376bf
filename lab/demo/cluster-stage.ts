/** The demo's nodes in a real Kubernetes: two with kubelets, on which weft's manifest runs, and a stock one. */
import { messageOf } from '../../src/shared/errors.ts';
import { Cluster } from '../kubernetes/cluster.ts';
import { populate, serviceAnswers, WEFT_DAEMONS, weftManifest } from '../kubernetes/populate.ts';
import { buildKubernetes } from '../kubernetes/programs.ts';
import { WEB_SERVICE } from '../kubernetes/web.ts';
import type { OnStep } from '../lab.ts';
import { waitForPeers } from '../lab.ts';
import type { LabNode } from '../node.ts';
import type { Pod } from '../pod.ts';

const PATIENCE_MS = 60_000;

export class ClusterStage {
  readonly cluster: Cluster;
  readonly pods: readonly Pod[];

  private constructor(cluster: Cluster, pods: readonly Pod[]) {
    this.cluster = cluster;
    this.pods = pods;
  }

  static async build(onStep: OnStep): Promise<ClusterStage> {
    onStep('looking for the programs of Kubernetes');
    await buildKubernetes();
    const cluster = await Cluster.build({ kubelets: 2, kernelNodes: 1 }, onStep);
    try {
      const { pods } = await populate(cluster, weftManifest(), WEFT_DAEMONS, onStep);
      onStep('waiting until every pod reaches every pod');
      await waitForPeers(pods, [4], PATIENCE_MS);
      return new ClusterStage(cluster, pods);
    } catch (error) {
      await cluster.close();
      throw error;
    }
  }

  get scope(): Cluster['scope'] {
    return this.cluster.scope;
  }

  get nodes(): readonly LabNode[] {
    return [...this.cluster.kubelets, ...this.cluster.kernelNodes];
  }

  close(): Promise<void> {
    return this.cluster.close();
  }

  /** Asks the Service from each pod of Kubernetes until both pods behind it have answered; the line says who did. */
  async askService(): Promise<{ line: string; problem: string; comparison?: undefined }> {
    try {
      const answers = await Promise.all(
        this.pods
          .slice(0, this.cluster.kubelets.length)
          .map((pod) => serviceAnswers(this.cluster, pod)),
      );
      const from = answers.map((names, i) => `from ${this.pods[i]?.name} ${names.join(' and ')}`);
      return { line: `Service ${WEB_SERVICE} answers: ${from.join(', ')}`, problem: '' };
    } catch (error) {
      return { line: '', problem: `Service ${WEB_SERVICE}: ${messageOf(error)}` };
    }
  }
}
