/** A pod of a cluster with kubelets. */

/** As far as the lab looks at it. */
export interface ClusterPod {
  metadata: { name: string; uid: string; namespace: string; deletionTimestamp?: string };
  spec: { nodeName?: string; containers: { name: string }[] };
  status: {
    podIP?: string;
    phase?: string;
    conditions?: { type: string; status: string }[];
    containerStatuses?: { restartCount: number; imageID: string; state?: object }[];
    initContainerStatuses?: { state?: object }[];
  };
}

export function isReady({ metadata, status }: ClusterPod): boolean {
  const ready = status.conditions?.find(({ type }) => type === 'Ready');
  return metadata.deletionTimestamp === undefined && ready?.status === 'True';
}
