/** How to reach the API server, and who we are there. '' is not given. */
export interface KubernetesSettings {
  kind: 'kubernetes';
  apiUrl: string;
  kubeconfigFile: string;
  annotationPrefix: string;
  /** the network config, mounted from a ConfigMap */
  configFile: string;
  /** clear the condition NetworkUnavailable when packets are forwarded */
  setsCondition: boolean;
  /** our Node's name, or the pod whose Node it is */
  nodeName: string;
  podName: string;
  podNamespace: string;
}
