#!/bin/sh
# flannel's name of "weft docker-opts": the same options, the same output.
exec "$(dirname "$(readlink -f "$0")")/weft" docker-opts "$@"
