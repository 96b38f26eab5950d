package azurite_test

import (
	"net/http"
	"strings"
	"testing"

	"satchel/store/storetest/azurite"
)

func TestStartAnswers(t *testing.T) {
	for name, opts := range map[string]azurite.Options{
		"http":  {},
		"https": {TLS: true},
		"oauth": {OAuth: true},
	} {
		t.Run(name, func(t *testing.T) {
			srv := azurite.Start(t, opts)
			if want := map[bool]string{true: "https://", false: "http://"}[name != "http"]; !strings.HasPrefix(srv.URL, want+"127.0.0.1:") {
				t.Errorf("URL is %s", srv.URL)
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodHead, srv.URL+"/"+srv.Container(t)+"?restype=container", nil)
			if err != nil {
				t.Fatal(err)
			}
			token, _ := azurite.Token()
			req.Header.Set("x-ms-version", "2021-12-02")
			if opts.OAuth {
				req.Header.Set("Authorization", "Bearer "+token)
			}
			resp, err := (&http.Client{Transport: srv.Transport(t)}).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if opts.OAuth != (resp.Header.Get("x-ms-error-code") == "ContainerNotFound") {
				t.Errorf("%s, %s", resp.Status, resp.Header.Get("x-ms-error-code"))
			}
		})
	}
}
