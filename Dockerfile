# The container image of weftd: docs/operations/install.md tells how to run it.
#   buildah bud --build-arg VERSION=1.2.3 -t weft:1.2.3 .        or: docker build ...
#
# A release is built with the digest behind the tag, so that the same sources give the same image:
#   --build-arg NODE=docker.io/library/node:24-trixie-slim@sha256:...
# Debian with glibc, because musl is no first-class platform of V8; not "distroless", because weftd calls ip, iptables and nft.
ARG NODE=docker.io/library/node:24-trixie-slim

# Compiler and development packages stay in this stage.
FROM ${NODE} AS build
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends gcc libc6-dev libjansson-dev
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
# Not "npm ci": see scripts/setup.mjs. No package's scripts are run.
RUN npm install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error
COPY . .
RUN node native/build.mjs \
 && node native/build.mjs --cni \
 && node native/build.mjs --keeper \
 && node node_modules/typescript/bin/tsc -p tsconfig.json \
 && node scripts/bundle.mjs \
 && node scripts/stage-image.mjs /staged

FROM ${NODE}
ARG VERSION=0.0.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="weft" \
      org.opencontainers.image.description="flannel-compatible overlay network with a userspace data plane" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
# What weftd and weft doctor call; and without the package managers that the base brings, because nobody installs anything here.
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends iproute2 nftables iptables iputils-ping \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/* /usr/local/lib/node_modules /opt/yarn* \
 && rm -f /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack /usr/local/bin/yarn /usr/local/bin/yarnpkg \
 && mkdir -p /run/weft /run/flannel /var/lib/weft
COPY --from=build /staged/ /
ENV NODE_ENV=production

# Root, and on purpose: Kubernetes has no ambient capabilities (KEP-2763), so what is added to a container never reaches another user,
# and file capabilities do not reach the ip and nft that weftd calls. Drop ALL and add NET_ADMIN and NET_RAW: that root can do little.
# Needed from outside: the device /dev/net/tun and the host's network. The root file system may be read-only; writable are
# /run/weft, /run/flannel (the host's, where CNI plugins look) and /var/lib/weft.
STOPSIGNAL SIGTERM
# Straight to node: as process 1 weftd gets SIGTERM itself, and it waits for every child it starts.
ENTRYPOINT ["/usr/local/bin/node", "/usr/lib/weft/bin/weftd"]
