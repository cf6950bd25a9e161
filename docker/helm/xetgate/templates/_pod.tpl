{{/* The pod of either mode. */}}
{{- define "xetgate.pod" -}}
{{- $cluster := eq .Values.mode "cluster" -}}
metadata:
  labels:
    {{- include "xetgate.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    checksum/secret: {{ include (print $.Template.BasePath "/secret.yaml") . | sha256sum }}
    {{- if .Values.metrics.enabled }}
    {{- with .Values.metrics.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- end }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "xetgate.serviceAccount" . }}
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    seccompProfile:
      type: RuntimeDefault
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if .Values.affinity }}
  affinity:
    {{- toYaml .Values.affinity | nindent 4 }}
  {{- else if $cluster }}
  affinity:
    podAntiAffinity:
      preferredDuringSchedulingIgnoredDuringExecution:
        - weight: 100
          podAffinityTerm:
            topologyKey: kubernetes.io/hostname
            labelSelector:
              matchLabels:
                {{- include "xetgate.selector" . | nindent 16 }}
  {{- end }}
  {{- if .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- toYaml .Values.topologySpreadConstraints | nindent 4 }}
  {{- else if $cluster }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: topology.kubernetes.io/zone
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "xetgate.selector" . | nindent 10 }}
  {{- end }}
  containers:
    - name: xetgate
      image: {{ printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: ["serve"]
      ports:
        - name: s3
          containerPort: 9000
        - name: hub
          containerPort: 9001
        {{- if .Values.metrics.enabled }}
        - name: metrics
          containerPort: {{ .Values.metrics.port }}
        {{- end }}
      env:
        - name: XETGATE__MODE
          value: {{ .Values.mode }}
        {{- if .Values.metrics.enabled }}
        - name: XETGATE__METRICS__LISTEN
          value: {{ printf "0.0.0.0:%d" (int .Values.metrics.port) | quote }}
        {{- end }}
        {{- with .Values.packs.url }}
        - name: XETGATE__PACKS__URL
          value: {{ . | quote }}
        {{- end }}
        {{- range $name, $value := .Values.packs.options }}
        - name: XETGATE__PACKS__OPTIONS__{{ upper $name }}
          value: {{ include "xetgate.text" $value }}
        {{- end }}
        {{- if $cluster }}
        - name: XETGATE__CLUSTER__NODE
          valueFrom:
            fieldRef:
              fieldPath: metadata.name
        - name: XETGATE__CLUSTER__SILENCE_SECS
          value: {{ int .Values.cluster.silenceSecs | quote }}
        - name: XETGATE__METADATA__URL_FILE
          value: /etc/xetgate/database/url
        - name: XETGATE__METADATA__SCHEMA
          value: {{ .Values.metadata.schema | quote }}
        {{- if .Values.metadata.caSecret }}
        - name: XETGATE__METADATA__CA_FILE
          value: /etc/xetgate/database-ca/ca.crt
        {{- end }}
        {{- end }}
        {{- with .Values.trustedProxies }}
        - name: XETGATE__SERVER__TRUSTED_PROXIES
          value: {{ toJson . | quote }}
        {{- end }}
        {{- range $name, $value := .Values.env }}
        - name: {{ $name }}
          value: {{ include "xetgate.text" $value }}
        {{- end }}
        {{- with .Values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- $credentials := include "xetgate.credentialSecret" . }}
      {{- if or $credentials .Values.packs.existingSecret .Values.extraEnvFrom }}
      envFrom:
        {{- with $credentials }}
        - secretRef:
            name: {{ . }}
        {{- end }}
        {{- with .Values.packs.existingSecret }}
        - secretRef:
            name: {{ . }}
        {{- end }}
        {{- with .Values.extraEnvFrom }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- end }}
      startupProbe:
        httpGet:
          path: /health/live
          port: hub
        {{- toYaml .Values.probes.startup | nindent 8 }}
      livenessProbe:
        httpGet:
          path: /health/live
          port: hub
        {{- toYaml .Values.probes.liveness | nindent 8 }}
      readinessProbe:
        httpGet:
          path: /health/ready
          port: hub
        {{- toYaml .Values.probes.readiness | nindent 8 }}
      {{- if $cluster }}
      lifecycle:
        # Until no new connections come: others learn only after a while that this pod ends.
        preStop:
          sleep:
            seconds: 5
      {{- end }}
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      volumeMounts:
        - name: data
          mountPath: /data
        {{- if $cluster }}
        - name: database
          mountPath: /etc/xetgate/database
          readOnly: true
        {{- if .Values.metadata.caSecret }}
        - name: database-ca
          mountPath: /etc/xetgate/database-ca
          readOnly: true
        {{- end }}
        {{- end }}
  {{- if or $cluster (not .Values.persistence.enabled) .Values.persistence.existingClaim }}
  volumes:
    {{- if $cluster }}
    - name: data
      emptyDir:
        sizeLimit: {{ .Values.cluster.dataSizeLimit }}
    - name: database
      secret:
        secretName: {{ include "xetgate.databaseSecret" . }}
        defaultMode: 0440
        items:
          - key: {{ .Values.metadata.existingSecretKey }}
            path: url
    {{- if .Values.metadata.caSecret }}
    - name: database-ca
      secret:
        secretName: {{ .Values.metadata.caSecret }}
        items:
          - key: {{ .Values.metadata.caSecretKey }}
            path: ca.crt
    {{- end }}
    {{- else if .Values.persistence.enabled }}
    - name: data
      persistentVolumeClaim:
        claimName: {{ .Values.persistence.existingClaim }}
    {{- else }}
    - name: data
      emptyDir: {}
    {{- end }}
  {{- end }}
{{- end }}
