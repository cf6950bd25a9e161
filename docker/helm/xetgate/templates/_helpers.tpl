{{- define "xetgate.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "xetgate.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "xetgate.name" .) .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "xetgate.name" .) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "xetgate.selector" -}}
app.kubernetes.io/name: {{ include "xetgate.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "xetgate.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{ include "xetgate.selector" . }}
{{- end }}

{{- define "xetgate.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "xetgate.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* The variables of the chart's own secret. */}}
{{- define "xetgate.secretVariables" -}}
{{- with .Values.credentials }}
{{- if not .existingSecret }}
{{- with .rootAccessKeyId }}
XETGATE_ROOT_ACCESS_KEY_ID: {{ . | quote }}
{{- end }}
{{- with .rootSecretAccessKey }}
XETGATE_ROOT_SECRET_ACCESS_KEY: {{ . | quote }}
{{- end }}
{{- with .rootToken }}
XETGATE_ROOT_TOKEN: {{ . | quote }}
{{- end }}
{{- with .masterKey }}
XETGATE_MASTER_KEY: {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "xetgate.credentialSecret" -}}
{{- if .Values.credentials.existingSecret }}
{{- .Values.credentials.existingSecret }}
{{- else if trim (include "xetgate.secretVariables" .) }}
{{- include "xetgate.fullname" . }}
{{- end }}
{{- end }}

{{/* The secret with the database's address, and its key in it. */}}
{{- define "xetgate.databaseSecret" -}}
{{- default (printf "%s-database" (include "xetgate.fullname" .)) .Values.metadata.existingSecret }}
{{- end }}

{{/* How to reach the pods with kubectl, for the notes. */}}
{{- define "xetgate.workload" -}}
{{- if eq .Values.mode "cluster" }}deployment{{ else }}statefulset{{ end }}/{{ include "xetgate.fullname" . }}
{{- end }}

{{/* A string, number or boolean as a quoted string: large numbers are not to become 1e+08. */}}
{{- define "xetgate.text" -}}
{{- if kindIs "string" . }}{{ quote . }}{{ else }}{{ toJson . | quote }}{{ end }}
{{- end }}
