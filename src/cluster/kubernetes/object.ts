/** What weft reads of the objects of Kubernetes. All of it comes from outside: any key may be missing, whatever its type says. */

export interface ObjectMetadata {
  name?: string;
  namespace?: string;
  /** another one for an object that was deleted and made anew under the same name */
  uid?: string;
  /** grows with every change of anything; compare with {@link isOlder} */
  resourceVersion?: string;
  annotations?: Record<string, string>;
}

export interface KubernetesObject {
  apiVersion?: string;
  kind?: string;
  metadata?: ObjectMetadata;
}

export interface NodeObject extends KubernetesObject {
  spec?: { podCIDR?: string; podCIDRs?: string[] };
}

export interface PodObject extends KubernetesObject {
  spec?: { nodeName?: string };
}

/** A page of a list. */
export interface ObjectList {
  metadata?: { resourceVersion?: string; continue?: string };
  items?: KubernetesObject[];
}

/** What the API server says instead of an object (meta/v1 Status). */
export interface StatusObject extends KubernetesObject {
  code?: number;
  reason?: string;
  message?: string;
}

/** Whether one resourceVersion is of an earlier moment than the other; also true where that can't be told. */
export function isOlder(version: string, than: string): boolean {
  const isNumber = /^\d{1,20}$/;
  if (!isNumber.test(version) || !isNumber.test(than)) return version !== than;
  return BigInt(version) < BigInt(than);
}
