{{/* Beginning of the names of all objects, short enough for what is appended. */}}
{{- define "rollcall.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- $full | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Of the operator's Deployment, and of what belongs to it alone. */}}
{{- define "rollcall.operator" -}}
{{- include "rollcall.fullname" . }}-operator
{{- end -}}

{{- define "rollcall.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{/* Of objects that belong to no namespace: two releases must not meet. */}}
{{- define "rollcall.clusterName" -}}
{{- printf "%s-%s" (include "rollcall.namespace" .) (include "rollcall.operator" .) -}}
{{- end -}}

{{- define "rollcall.serviceAccount" -}}
{{- default (ternary (include "rollcall.operator" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "rollcall.leaseName" -}}
{{- default (include "rollcall.operator" .) .Values.operator.leaderElection.leaseName -}}
{{- end -}}

{{- define "rollcall.isClusterWide" -}}
{{- if has "*" .Values.operator.watchNamespaces }}true{{ end -}}
{{- end -}}

{{/* The watched namespaces as a JSON list under `names`; its own when none is named. */}}
{{- define "rollcall.watchedNamespaces" -}}
{{- dict "names" (default (list (include "rollcall.namespace" .)) .Values.operator.watchNamespaces | uniq) | toJson -}}
{{- end -}}

{{/* What finds the operator's pods. It can never be changed. */}}
{{- define "rollcall.selectorLabels" -}}
app.kubernetes.io/name: rollcall-operator
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "rollcall.labels" -}}
{{- $own := dict
  "app.kubernetes.io/name" "rollcall-operator"
  "app.kubernetes.io/instance" .Release.Name
  "app.kubernetes.io/version" .Chart.AppVersion
  "app.kubernetes.io/managed-by" .Release.Service
  "app.kubernetes.io/part-of" "rollcall"
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- merge $own .Values.global.commonLabels | toYaml -}}
{{- end -}}

{{/* `name`, `labels` and `annotations` of an object. Arguments: root, name, and of this object alone: labels, annotations. */}}
{{- define "rollcall.metadata" -}}
name: {{ .name }}
labels: {{- merge (include "rollcall.labels" .root | fromYaml) (default dict .labels) | toYaml | nindent 2 }}
{{- with mergeOverwrite (deepCopy .root.Values.global.commonAnnotations) (default dict .annotations) }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The same, of an object in the release's namespace. */}}
{{- define "rollcall.namespacedMetadata" -}}
{{ include "rollcall.metadata" . }}
namespace: {{ include "rollcall.namespace" .root }}
{{- end -}}

{{/* An image's full name. Arguments: root, image. */}}
{{- define "rollcall.image" -}}
{{- $registry := default .image.registry .root.Values.global.imageRegistry -}}
{{- with $registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{- .image.repository -}}
{{- if .image.digest }}@{{ .image.digest }}{{ else }}:{{ default .root.Chart.AppVersion .image.tag }}{{ end -}}
{{- end -}}

{{/* A rule of egress. Arguments: to, ports. */}}
{{- define "rollcall.egress" -}}
- ports:
  {{- range .ports }}
  - {protocol: TCP, port: {{ int . }}}
  {{- end }}
  {{- with .to }}
  to: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
