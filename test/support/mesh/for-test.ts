/** A mesh that ends with its test, passed or failed, or when the test starts the next one: a thread has few engines. */
import { afterEach } from 'node:test';
import { Mesh, type MeshOptions } from './mesh.ts';

let running: Mesh | undefined;

function stop(): void {
  running?.close();
  running = undefined;
}

afterEach(stop);

export function meshForTest<E extends { kind: string }>(options: MeshOptions<E>): Mesh {
  stop();
  running = Mesh.start(options);
  return running;
}
