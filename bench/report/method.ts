/** How it is measured, for a reader who wants to repeat it or to find fault with it. HTML. */
export const METHOD = `
<p><strong>Place.</strong> One machine. For each data plane two nodes are network namespaces joined by a veth pair of MTU 1500, with a pod,
a third and a fourth namespace, behind each. Nodes, pods and measuring tools share the machine's cores: what a data plane costs, the
programs in the pods don't get.</p>
<p><strong>Order.</strong> All nodes are built first and stand idle. For each kind of work, a round measures every data plane once, one
after the other; the next round goes backwards (A B C, C B A, …), so drift of the machine meets all alike. A ratio is made between two
runs of the same round; the figure is the median of these ratios, the spread their least and greatest. No run is left out.</p>
<p><strong>Links.</strong> <em>veth</em> is the pair as the kernel makes it: super-packets of 64 KiB with unfinished checksums cross by
reference. Kernel VXLAN never segments and never sums there, which makes it the hardest baseline. <em>wire</em> is what a network card
without tunnel offload sees, packets really have MTU size; on both ends:</p>
<pre>ethtool -K eth0 tso off gso off tx-udp_tnl-segmentation off tx-udp_tnl-csum-segmentation off tx-udp-segmentation off gro on</pre>
<p><strong>Rules.</strong> Nodes with kernel VXLAN have flannel's two FORWARD rules, as stock flanneld writes them; weft writes the
same and its own guard, and every packet of a pod passes them. Routing without an overlay has none: it is a limit.</p>
<p><strong>Work.</strong> TCP: iperf3, bytes that arrived; reverse means that the far pod sends. Floods: one socket sends datagrams of one
size with sendmmsg, 64 a call, as fast as it can; a counter on the far pod reads them with recvmmsg; what counts is what arrived. Round
trips: one datagram of 64 bytes outstanding, the whole way there and back, every one of them in a histogram whose classes are 3 % wide;
also beside full TCP streams, a flood, and a stream of bounded rate, and with 32 clients at once. Highest rate without loss (RFC 2544,
section 26.1): bisection between nothing and what a flood offers, trials of 1 s, a rate that lost something gets one more trial. Steady
rates: iperf3, with its jitter (RFC 3550). HTTP: nginx with one worker process, ApacheBench with 32 clients. Connections: connect, close with a reset, again.</p>
<p><strong>CPU cost.</strong> Each data plane has two control groups, one for what runs in its nodes and one for the tools in its pods. Their
time during the run, and that of kernel threads, divided by what arrived. Soft interrupts count with the process that they interrupt, or,
where the kernel counts interrupts apart, from /proc/stat. Tools and warm-up are in it, for all alike. The kernel's VXLAN runs the way
through both nodes on the sending core; a userspace data plane uses other cores too. A rate without its cost says half.</p>
<p><strong>A busy machine.</strong> Each run records the load, the time that the hypervisor gave to others and the time of programs that have
nothing to do with the run. Where others took more than 10 % of the cores, table and report say so, and the figures are not to rely on.</p>
<p><strong>Limits.</strong> A virtual machine has noise of several percent. There is no network card and no distance. A flood's generator
can be the limit, and what it sends in vain costs CPU that a delivering data plane would need. Overlays that encrypt do more work than
the others. TCP runs with cubic unless the row or the caller says another: one that paces its packets, such as BBR, is itself a limit
on links this fast.</p>
<p><strong>Again.</strong> In a checkout of the project, as root:</p>
<pre>npm run bench:net
npm run bench:net -- --quick
npm run bench:net -- --planes kernel,weft --works tcp1,udp64,rr --links wire --rounds 10</pre>
`;
