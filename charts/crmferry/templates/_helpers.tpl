{{- define "crmferry.name" -}}
{{- if contains "crmferry" .Release.Name }}{{ .Release.Name | trunc 45 | trimSuffix "-" }}{{ else }}{{ printf "%s-crmferry" (.Release.Name | trunc 36 | trimSuffix "-") }}{{ end }}
{{- end }}

{{- define "crmferry.worker" -}}
{{ include "crmferry.name" . }}-worker
{{- end }}

{{- /* Names in the cluster's scope hold the namespace, so that two releases never meet. */}}
{{- define "crmferry.clusterName" -}}
{{ .Release.Namespace }}:{{ include "crmferry.name" . }}
{{- end }}

{{- define "crmferry.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "crmferry.selector" -}}
app.kubernetes.io/name: crmferry
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "crmferry.labels" -}}
app.kubernetes.io/name: crmferry
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- /* The watched namespaces, joined by commas; empty means all. */}}
{{- define "crmferry.namespaces" -}}
{{- $all := list }}
{{- range .Values.watchNamespaces }}{{ $all = append $all (tpl . $) }}{{ end }}
{{- $all | uniq | join "," }}
{{- end }}

{{- define "crmferry.operatorRules" -}}
- apiGroups: [crmferry.io]
  resources: [migrations]
  verbs: [get, list, watch, patch]          # patch: the probe that proves approvals guarded
- apiGroups: [crmferry.io]
  resources: [migrations/status]
  verbs: [get, patch, update]
- apiGroups: [crmferry.io]
  resources: [mappingspecs]
  verbs: [get, list, watch]
- apiGroups: [crmferry.io]
  resources: [mappingspecs/status]
  verbs: [get, patch]
- apiGroups: [crmferry.io]
  resources: [phaseruns]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [configmaps]                   # sealed evidence
  verbs: [get, create]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get]
- apiGroups: ["", events.k8s.io]
  resources: [events]
  verbs: [get, list, create, patch]
{{- end }}

{{- define "crmferry.workerRules" -}}
- apiGroups: [crmferry.io]
  resources: [migrations, mappingspecs, phaseruns]
  verbs: [get]
- apiGroups: [crmferry.io]
  resources: [phaseruns/status]
  verbs: [get, patch]
{{- end }}
