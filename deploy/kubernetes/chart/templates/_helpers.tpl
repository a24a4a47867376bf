{{/* What would be ignored, or would run another program, is refused. */}}
{{- define "weft.check" -}}
{{- if eq (base .Values.flannel.image.repository) "flannel" -}}
{{- fail (printf "flannel.image.repository is flannel's own image (%s): name weft's" .Values.flannel.image.repository) -}}
{{- end -}}
{{- if .Values.netpol.enabled -}}
{{- fail "netpol.enabled: weft has no controller of network policies; install kube-network-policies by its own manifest, and leave netpol.enabled false" -}}
{{- end -}}
{{- if not (or .Values.podCidr .Values.podCidrv6) -}}
{{- fail "podCidr and podCidrv6 are both empty: give at least one, as kube-controller-manager's --cluster-cidr has it" -}}
{{- end -}}
{{- end -}}

{{- define "weft.labels" -}}
app.kubernetes.io/name: weft
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "weft.image" -}}
image: {{ printf "%s:%s" .repository (toString .tag) | quote }}
imagePullPolicy: {{ .pullPolicy }}
{{- end -}}

{{- define "weft.installSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
    # Some distributions give these folders to another user than root.
    add: [DAC_OVERRIDE]
{{- end -}}

{{/* The network config as JSON. Made from values and not from text, so that each is quoted as its type wants. */}}
{{- define "weft.netConf" -}}
{{- $conf := dict -}}
{{- if .Values.podCidr -}}
{{- $_ := set $conf "Network" .Values.podCidr -}}
{{- else -}}
{{- $_ := set $conf "EnableIPv4" false -}}
{{- end -}}
{{- if .Values.podCidrv6 -}}
{{- $_ := set $conf "IPv6Network" .Values.podCidrv6 -}}
{{- $_ := set $conf "EnableIPv6" true -}}
{{- end -}}
{{- if .Values.flannel.enableNFTables -}}
{{- $_ := set $conf "EnableNFTables" true -}}
{{- end -}}
{{- $keys := dict
  "vxlan" (dict "backendPort" "Port" "vni" "VNI" "GBP" "GBP" "directRouting" "DirectRouting" "mtu" "MTU" "macPrefix" "MacPrefix")
  "udp" (dict "backendPort" "Port")
  "wireguard" (dict "backendPort" "ListenPort" "backendPortv6" "ListenPortV6" "psk" "PSK" "mtu" "MTU" "tunnelMode" "Mode" "keepaliveInterval" "PersistentKeepaliveInterval") -}}
{{- $backend := dict "Type" .Values.flannel.backend -}}
{{- range $value, $key := (get $keys .Values.flannel.backend | default dict) -}}
{{- with get $.Values.flannel $value -}}
{{- $_ := set $backend $key . -}}
{{- end -}}
{{- end -}}
{{- $_ := set $conf "Backend" $backend -}}
{{- toPrettyJson $conf -}}
{{- end -}}
