// The part of a node that streams ports, by Kubernetes' own library: port-forwards are served here, everything else goes on to kubelet.py.
//
//	kubelet-ports LISTEN CERTIFICATE KEY UNIX-SOCKET
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kubelet/pkg/cri/streaming/portforward"
)

type node struct {
	rest *http.Client // kubelet.py
}

// Its address on this machine: pods' addresses are the test's invention.
func (n *node) address(pod string) (string, error) {
	answer, err := n.rest.Get("http://kubelet/address/" + pod)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("pod %s: %s", pod, text)
	}
	return string(text), err
}

func (n *node) PortForward(_ context.Context, pod string, _ types.UID, port int32, stream io.ReadWriteCloser) error {
	defer stream.Close()
	host, err := n.address(pod)
	if err != nil {
		return err
	}
	there, err := net.Dial("tcp", net.JoinHostPort(host, fmt.Sprint(port)))
	if err != nil {
		return err
	}
	defer there.Close()
	ended := make(chan error, 2)
	go func() { _, err := io.Copy(there, stream); ended <- err }()
	go func() { _, err := io.Copy(stream, there); ended <- err }()
	return <-ended
}

func (n *node) forward(w http.ResponseWriter, r *http.Request) {
	pod := strings.TrimPrefix(r.URL.Path, "/portForward/")
	options, err := portforward.NewV4Options(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	portforward.ServePortForward(w, r, n, pod, "", options, time.Hour, 30*time.Second, portforward.SupportedProtocols)
}

func main() {
	socket := os.Args[4]
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	n := &node{rest: &http.Client{Transport: transport}}
	there, _ := url.Parse("http://kubelet")
	proxy := httputil.NewSingleHostReverseProxy(there)
	proxy.Transport = transport
	proxy.FlushInterval = -1
	http.HandleFunc("/portForward/", n.forward)
	http.Handle("/", proxy)
	log.Fatal(http.ListenAndServeTLS(os.Args[1], os.Args[2], os.Args[3], nil))
}
