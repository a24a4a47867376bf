/** A host that does not have some commands: a mount namespace whose /usr/sbin lacks them, for what is started in it. */
import { lstatSync } from 'node:fs';

const FOLDER = '/usr/sbin';

/** /usr/sbin becomes a folder of links to what was in it, less the hidden names. */
const SCRIPT = `set -e
hidden=$1; shift
mount --make-rprivate /
mount -t tmpfs tmpfs /mnt
mkdir /mnt/all
mount --bind ${FOLDER} /mnt/all
mount -t tmpfs tmpfs ${FOLDER}
for file in /mnt/all/*; do
  name=\${file##*/}
  case ",$hidden," in *",$name,"*) ;; *) ln -s "$file" "${FOLDER}/$name" ;; esac
done
exec "$@"`;

const NAMES = {
  iptables: ['iptables', 'ip6tables', 'iptables-restore', 'ip6tables-restore'],
  nft: ['nft'],
};

/** The command line that runs another one where these tools are not installed. */
export function withoutCommands(
  tools: readonly (keyof typeof NAMES)[],
  command: readonly string[],
): [string, ...string[]] {
  // Elsewhere the search path of the daemon would find them again.
  if (!lstatSync('/sbin').isSymbolicLink()) throw new Error('/sbin is a folder of its own here');
  const hidden = tools.flatMap((tool) => NAMES[tool]).join();
  return ['unshare', '-m', 'sh', '-c', SCRIPT, 'sh', hidden, ...command];
}
