/** Files that other programs read at any moment. */
import { chmod, mkdir, open, rename, unlink } from 'node:fs/promises';
import path from 'node:path';

/** Replaces a file atomically with these bytes and this mode, whatever the umask. Its folder is made if missing. */
export async function writeFileAtomically(
  file: string,
  content: string | Uint8Array,
  mode: number,
): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true, mode: 0o755 });
  const draft = `${file}.${process.pid}.tmp`;
  try {
    const handle = await open(draft, 'w', mode);
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await chmod(draft, mode);
    await rename(draft, file);
  } catch (error) {
    await unlink(draft).catch(() => undefined); // half of it, on a full disk
    throw error;
  }
}
