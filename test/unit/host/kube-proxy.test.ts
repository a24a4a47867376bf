/** What kube-proxy's rules say, on what iptables-save and nft print where it runs in each of its modes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type KubeProxy, kubeProxyIn, readProxyTexts } from '../../../src/host/kube-proxy.ts';
import { formatAddress, formatPrefix } from '../../../src/shared/address.ts';

const IPTABLES = `*nat
:PREROUTING ACCEPT [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-SVC-NPX46M4PTMTKRN6Y - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
-A KUBE-SEP-ABC -s 10.244.2.5/32 -m comment --comment "default/kubernetes:https" -j KUBE-MARK-MASQ
-A KUBE-SERVICES -d 10.96.0.1/32 -p tcp -m comment --comment "default/kubernetes:https cluster IP" -m tcp --dport 443 -j KUBE-SVC-NPX46M4PTMTKRN6Y
-A KUBE-SERVICES -d 10.96.0.10/32 -p udp -m comment --comment "kube-system/kube-dns:dns cluster IP" -m udp --dport 53 -j KUBE-SVC-TCOU7JCQXEZGVUNU
-A KUBE-SVC-NPX46M4PTMTKRN6Y ! -s 10.244.0.0/16 -d 10.96.0.1/32 -p tcp -m comment --comment "default/kubernetes:https cluster IP" -m tcp --dport 443 -j KUBE-MARK-MASQ
-A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
COMMIT
`;
const OLD_IPTABLES = `-A KUBE-SERVICES ! -s 10.10.0.0/16 -d 10.96.0.1/32 -p tcp -m tcp --dport 443 -j KUBE-MARK-MASQ
-A KUBE-SERVICES -d 10.96.0.1/32 -p tcp -m tcp --dport 443 -j KUBE-SVC-NPX46M4PTMTKRN6Y
`;
const IPVS = `-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE
-A KUBE-SERVICES ! -s 10.244.0.0/16 -m comment --comment "Kubernetes service cluster ip + port for masquerade purpose" -m set --match-set KUBE-CLUSTER-IP dst,dst -j KUBE-MARK-MASQ
`;
const NFT = `table ip kube-proxy {
	comment "rules for kube-proxy"

	set cluster-ips {
		type ipv4_addr
		elements = { 10.96.0.1, 10.96.0.10 }
	}

	map service-ips {
		type ipv4_addr . inet_proto . inet_service : verdict
		elements = { 10.96.0.1 . tcp . 443 : goto service-2QRHZV4L-default/kubernetes/tcp/https,
			     10.96.0.10 . udp . 53 : goto service-FY5PMXPG-kube-system/kube-dns/udp/dns }
	}

	chain service-2QRHZV4L-default/kubernetes/tcp/https {
		ip daddr 10.96.0.1 tcp dport 443 ip saddr != 10.244.0.0/16 jump mark-for-masquerade
		numgen random mod 1 vmap { 0 : goto endpoint-5OJB2KTY }
	}

	chain masquerading {
		mark & 0x4000 == 0x0 return
		mark set mark xor 0x4000
		masquerade fully-random
	}
}
`;
const LINK = { ifname: 'eth0', addr_info: [] };
const plain = ({ mode, serviceAddresses, clusterCidrs, masquerades }: KubeProxy) => ({
  ...{ mode, masquerades },
  addresses: serviceAddresses.map(formatAddress).sort(),
  cidrs: clusterCidrs.map(formatPrefix),
});

test('iptables: Services, the clusterCIDR, masquerading; in the words of older releases too', () => {
  assert.deepEqual(plain(kubeProxyIn({ iptables: IPTABLES, nft: '' }, [LINK])), {
    ...{ mode: 'iptables', masquerades: true },
    addresses: ['10.96.0.1', '10.96.0.10'],
    cidrs: ['10.244.0.0/16'],
  });
  assert.deepEqual(plain(kubeProxyIn({ iptables: OLD_IPTABLES, nft: '' }, [])), {
    ...{ mode: 'iptables', masquerades: false },
    addresses: ['10.96.0.1'],
    cidrs: ['10.10.0.0/16'],
  });
});

test('ipvs: Services are addresses of its device', () => {
  const address = (local: string) => ({ family: 'inet', local, prefixlen: 32, scope: 'global' });
  const device = { ifname: 'kube-ipvs0', addr_info: [address('10.96.0.1'), address('10.96.0.10')] };
  assert.deepEqual(plain(kubeProxyIn({ iptables: IPVS, nft: '' }, [LINK, device])), {
    ...{ mode: 'ipvs', masquerades: true },
    addresses: ['10.96.0.1', '10.96.0.10'],
    cidrs: ['10.244.0.0/16'],
  });
});

test('nftables: from the chains of Services', () => {
  const found = plain(kubeProxyIn({ iptables: '', nft: NFT }, [LINK]));
  assert.deepEqual([found.mode, found.masquerades], ['nftables', true]);
  assert.deepEqual(found.cidrs, ['10.244.0.0/16']);
  assert.deepEqual(found.addresses, ['10.96.0.1', '10.96.0.10']);
});

test('nothing of it, and no command to look with', async () => {
  const { mode, addresses } = plain(kubeProxyIn({ iptables: '*nat\nCOMMIT\n', nft: '' }, [LINK]));
  assert.deepEqual([mode, addresses], [undefined, []]);
  const run = async (command: string): Promise<string> => {
    if (command === 'nft') throw new Error('No such file or directory');
    return command;
  };
  assert.deepEqual(await readProxyTexts(run), {
    iptables: 'iptables-save\nip6tables-save',
    nft: '\n',
  });
});
