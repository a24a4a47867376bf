/** Manifests as a cluster of the lab takes them. */
import { readFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';
import type { KubernetesObject } from '../../src/cluster/kubernetes/object.ts';

/** Its objects, in their order. */
export function readManifest(file: string): KubernetesObject[] {
  return parseAllDocuments(readFileSync(file, 'utf8'))
    .map((document) => document.toJS() as KubernetesObject)
    .filter((object) => object !== null);
}

/** The same with another image for every container, and nothing else changed. */
export function withImage(objects: readonly KubernetesObject[], image: string): KubernetesObject[] {
  const text = JSON.stringify(objects, (key, value) => (key === 'image' ? image : value));
  return JSON.parse(text) as KubernetesObject[];
}
