/** The controllers and the scheduler: what makes pods of a DaemonSet. Nodes get their subnets from the lab, not from them. */
import { join } from 'node:path';
import type { LabScope, Namespace } from '../namespace.ts';
import type { ControlPlane } from './control-plane.ts';
import { kubernetesProgram } from './programs.ts';

export async function startControllers(
  plane: ControlPlane,
  namespace: Namespace,
  scope: LabScope,
): Promise<void> {
  const start = async (
    component: string,
    user: string,
    flags: readonly string[],
  ): Promise<void> => {
    const certificate = await plane.authority.issue(user);
    const kubeconfig = plane.kubeconfig(component, { certificate });
    const access = ['kubeconfig', 'authentication-kubeconfig', 'authorization-kubeconfig'];
    const all = [
      ...access.map((flag) => `--${flag}=${kubeconfig}`),
      '--leader-elect=false',
      ...flags,
    ];
    const logFile = join(scope.tempDir, `${component}.log`);
    namespace.spawn(await kubernetesProgram(component), all, { logFile });
  };
  await Promise.all([
    start('kube-controller-manager', 'system:kube-controller-manager', [
      '--service-cluster-ip-range=10.96.0.0/16',
      `--service-account-private-key-file=${plane.serviceAccountKeyFile}`,
      `--root-ca-file=${plane.authority.caFile}`,
      '--use-service-account-credentials=true',
    ]),
    start('kube-scheduler', 'system:kube-scheduler', []),
  ]);
}
