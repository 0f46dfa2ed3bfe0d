#!/bin/sh
# Builds k9s for the bench, once, from its Go module: tests/bench/k9s.sh DIRECTORY puts it there. Its image scanner, by far its largest
# dependency, is replaced by one that scans nothing, so its figures are if anything better than those of the one that people use.
set -eu
VERSION=0.51.0
KUBERNETES=0.35.4 # of the libraries: those of the API server that it is measured with
into=$1
[ ! -x "$into/k9s" ] || exit 0
command -v go >/dev/null || { echo "k9s.sh: no Go here: it is not measured" >&2; exit 1; }

mkdir -p "$into"
echo "building k9s $VERSION for the bench, once: some minutes" >&2
export CGO_ENABLED=0 GOFLAGS="-buildvcs=false -mod=mod" GOTOOLCHAIN=auto
module=$(cd / && GOFLAGS=-mod=mod go mod download -json "github.com/derailed/k9s@v$VERSION" | sed -n 's/^[[:space:]]*"Dir": "\(.*\)",*$/\1/p')
rm -rf "$into/src"
cp -r "$module" "$into/src"
chmod -R u+w "$into/src"
cd "$into/src"
rm internal/vul/*_test.go internal/vul/scan.go internal/vul/scanner.go
cat >internal/vul/none.go <<'END'
package vul

import (
	"context"
	"log/slog"

	"github.com/derailed/k9s/internal/config"
)

type Scan struct{ Table *table }

type imageScanner struct{ config config.ImageScans }

var ImgScanner *imageScanner

func NewImageScanner(c config.ImageScans, _ *slog.Logger) *imageScanner { return &imageScanner{c} }

func (s *imageScanner) ShouldExcludes(ns string, labels map[string]string) bool {
	return s.config.ShouldExclude(ns, labels)
}
func (*imageScanner) GetScan(string) (*Scan, bool)       { return nil, false }
func (*imageScanner) Init(string, string)                {}
func (*imageScanner) Stop()                              {}
func (*imageScanner) Score(...string) string             { return "" }
func (*imageScanner) IsInitialized() bool                { return false }
func (*imageScanner) Enqueue(context.Context, ...string) {}

func colorize(row []string) []string { return row }
END
for part in api apiextensions-apiserver apimachinery cli-runtime client-go kubectl metrics; do
  go mod edit "-require=k8s.io/$part@v$KUBERNETES"
done
nice go build -trimpath -ldflags "-s -w -X github.com/derailed/k9s/cmd.version=v$VERSION" -o "$into/k9s.new" . >"$into/log" 2>&1 || {
  tail -n 20 "$into/log" >&2
  exit 1
}
mv "$into/k9s.new" "$into/k9s"
rm -rf "$into/src"
