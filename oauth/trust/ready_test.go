package trust_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/oauth/trust"
	"github.com/latchkey-go/latchkey/store"
)

// gitlab returns a world whose issuer is GitLab with a key of the test's.
func gitlab(t testing.TB) *world {
	w := newWorld(t)
	w.signer = newSigner(t, jose.RS256, "k1")
	w.entry = trust.GitLab("gitlab", "https://gitlab.com")
	w.entry.JWKS = keySet(t, w.signer.public)
	w.header["alg"] = "RS256"
	w.trust = trusts("gitlab", "project_id", "20", "ref_path", "refs/heads/main")
	clear(w.claims)
	now := w.clock.Now().Unix()
	// The members that GitLab's documentation shows.
	for name, value := range map[string]any{
		"namespace_id": "72", "namespace_path": "my-group", "project_id": "20", "project_path": "my-group/my-project", "user_id": "1",
		"user_identities": []map[string]string{{"provider": "github", "extern_uid": "2435223452345"}}, "pipeline_id": "574", "pipeline_source": "push",
		"job_id": "302", "ref": "main", "ref_type": "branch", "ref_path": "refs/heads/main", "ref_protected": "true", "groups_direct": []string{"a"},
		"environment": "production", "environment_protected": "true", "deployment_tier": "production", "runner_id": 1, "runner_environment": "self-hosted",
		"sha": "714a629c0b401fdce83e847fc9589983fc6f46bc", "jti": "235b3a54-b797-45c7-ae9a-f72d7bc6ef5b", "iss": "https://gitlab.com",
		"iat": now, "nbf": now - 5, "exp": now + 3600, "sub": "project_path:my-group/my-project:ref_type:branch:ref:main", "aud": audience,
	} {
		w.claims[name] = value
	}
	return w
}

// kubernetes returns a world whose issuer is a cluster with a key of the test's.
func kubernetes(t testing.TB) *world {
	w := newWorld(t)
	w.signer = newSigner(t, jose.RS256, "k1")
	w.entry = trust.Kubernetes("cluster-1", "https://kubernetes.default.svc.cluster.local")
	w.entry.JWKS = keySet(t, w.signer.public)
	w.header = map[string]any{"alg": "RS256", "kid": "k1"}
	w.trust = trusts("cluster-1", "sub", "system:serviceaccount:prod:deployer")
	clear(w.claims)
	now := w.clock.Now().Unix()
	for name, value := range map[string]any{
		"iss": w.entry.Issuer, "sub": "system:serviceaccount:prod:deployer", "aud": []string{audience}, "iat": now, "nbf": now, "exp": now + 3600, "jti": "j",
		"kubernetes.io": map[string]any{
			"namespace":      "prod",
			"node":           map[string]string{"name": "node-1", "uid": "n-uid"},
			"pod":            map[string]string{"name": "deployer-0", "uid": "p-uid"},
			"serviceaccount": map[string]string{"name": "deployer", "uid": "a709ef71"},
		},
	} {
		w.claims[name] = value
	}
	return w
}

func TestReadyEntries(t *testing.T) {
	fromFork := func(name, value string) func(*world) { return claim(name, value) }
	for name, c := range map[string]struct {
		world  func(testing.TB) *world
		claims []string // of the trust; nil: the world's
		change func(*world)
		reason string // empty: accepted
	}{
		"GitHub":                                   {github, nil, nil, ""},
		"GitHub, environment":                      {github, []string{"repository_id", "74", "environment", "prod"}, nil, ""},
		"GitHub, any branch":                       {github, []string{"repository_id", "74", "ref", "refs/heads/*"}, nil, ""},
		"GitHub, all repositories of an owner":     {github, []string{"repository_owner_id", "65", "ref", "refs/heads/main"}, nil, ""},
		"GitHub, a shared workflow":                {github, []string{"repository_owner_id", "65", "ref", "refs/heads/main", "job_workflow_ref", "octo-org/octo-automation/.github/workflows/oidc.yml@refs/heads/*"}, nil, ""},
		"GitHub, a tag in place of a branch":       {github, []string{"repository_id", "74", "ref", "refs/heads/*"}, claim("ref", "refs/tags/v1"), `"ref"`},
		"GitHub, another repository":               {github, nil, claim("repository_id", "75"), `"repository_id"`},
		"B34 GitHub, a pull request":               {github, []string{"repository_id", "74", "environment", "prod"}, fromFork("event_name", "pull_request"), `"event_name"`},
		"B34 GitHub, pull_request_target":          {github, nil, fromFork("event_name", "pull_request_target"), `"event_name"`},
		"B34 GitHub, workflow_run":                 {github, nil, fromFork("event_name", "workflow_run"), `"event_name"`},
		"B34 GitHub, issue_comment":                {github, nil, fromFork("event_name", "issue_comment"), `"event_name"`},
		"B34 GitHub, an event that is chosen":      {github, []string{"repository_id", "74", "environment", "prod", "event_name", "pull_request"}, fromFork("event_name", "pull_request"), ""},
		"B34 GitHub, sub is customised":            {github, nil, claim("sub", "repository_id:74:x"), ""},
		"GitLab":                                   {gitlab, nil, nil, ""},
		"GitLab, environment":                      {gitlab, []string{"project_id", "20", "environment", "production", "environment_protected", "true"}, nil, ""},
		"GitLab, namespace":                        {gitlab, []string{"namespace_id", "72", "ref_path", "refs/heads/*", "ref_protected", "true"}, nil, ""},
		"GitLab, a tag with the name of a branch":  {gitlab, nil, claim("ref_path", "refs/tags/main"), `"ref_path"`},
		"GitLab, a merge request has no ref_path":  {gitlab, nil, claim("ref_path", nil), `"ref_path"`},
		"B34 GitLab, a merge request":              {gitlab, nil, fromFork("pipeline_source", "merge_request_event"), `"pipeline_source"`},
		"B34 GitLab, a pull request from outside":  {gitlab, nil, fromFork("pipeline_source", "external_pull_request_event"), `"pipeline_source"`},
		"B34 GitLab, a child of a merge request's": {gitlab, nil, fromFork("pipeline_source", "parent_pipeline"), `"pipeline_source"`},
		"B34 GitLab, a project of another":         {gitlab, nil, claim("project_id", "21"), `"project_id"`},
		"B34 GitLab, a number in place of a text":  {gitlab, nil, claim("project_id", 20), `"project_id"`},
		"Kubernetes":                               {kubernetes, nil, nil, ""},
		"Kubernetes, uid":                          {kubernetes, []string{"serviceaccount_uid", "a709ef71"}, nil, ""},
		"Kubernetes, namespace":                    {kubernetes, []string{"sub", "system:serviceaccount:prod:*"}, nil, ""},
		"Kubernetes, all claims":                   {kubernetes, []string{"serviceaccount_uid", "a709ef71", "namespace", "prod", "serviceaccount", "deployer", "pod", "deployer-0", "node", "node-1"}, nil, ""},
		"Kubernetes, another account":              {kubernetes, nil, claim("sub", "system:serviceaccount:prod:default"), `"sub"`},
		"Kubernetes, another namespace":            {kubernetes, []string{"sub", "system:serviceaccount:prod:*"}, claim("sub", "system:serviceaccount:prod2:deployer"), `"sub"`},
		"B34 Kubernetes, a new account's uid":      {kubernetes, []string{"serviceaccount_uid", "a709ef72"}, nil, `"serviceaccount_uid"`},
		"B34 Kubernetes, a token for the cluster":  {kubernetes, nil, claim("aud", []string{"https://kubernetes.default.svc.cluster.local"}), "aud"},
		"B34 Kubernetes, two audiences":            {kubernetes, nil, claim("aud", []string{audience, "x"}), "aud"},
	} {
		t.Run(name, func(t *testing.T) {
			w := c.world(t)
			if c.claims != nil {
				w.trust = trusts(w.entry.Name, c.claims...)
			}
			if c.change != nil {
				c.change(w)
			}
			l := w.list()
			require.Empty(t, l.Check(w.trust))
			_, _, err := find(t.Context(), l, w.token(), []store.Trust{w.trust})
			if c.reason == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, trust.ErrRefused)
			require.ErrorContains(t, err, c.reason)
		})
	}
}

func TestReadyEntriesAskForEnough(t *testing.T) {
	onPremises := func(t testing.TB) *world {
		w := gitlab(t)
		keys := w.entry.JWKS
		w.entry = trust.GitLab("gitlab", "https://gitlab.example.com")
		w.entry.JWKS = keys
		return w
	}
	private := func(t testing.TB) *world {
		w := onPremises(t)
		w.entry.Shared = false
		return w
	}
	for name, c := range map[string]struct {
		world  func(testing.TB) *world
		claims []string
		want   string // empty: good
	}{
		"B34 GitHub, no id":                     {github, []string{"repository", "octo-org/octo-repo", "ref", "refs/heads/main"}, "name one of repository_id, repository_owner_id"},
		"B34 GitHub, neither ref":               {github, []string{"repository_id", "74"}, "Name at least one of environment, ref."},
		"B34 GitHub, sub":                       {github, []string{"repository_id", "74", "ref", "refs/heads/main", "sub", "x"}, `no claim that is called "sub"`},
		"B34 GitHub, all refs":                  {github, []string{"repository_id", "74", "ref", "refs/*"}, "at least 2 others"},
		"B34 GitHub, workflows of all":          {github, []string{"repository_id", "74", "ref", "refs/heads/main", "job_workflow_ref", "octo-org/*"}, "at least 6 others"},
		"B34 GitLab.com, no id":                 {gitlab, []string{"project_path", "my-group/my-project", "ref_path", "refs/heads/main"}, "name one of project_id, namespace_id"},
		"B34 GitLab.com, neither ref":           {gitlab, []string{"project_id", "20"}, "Name at least one of environment, ref_path."},
		"B34 a GitLab of one's own, no id":      {onPremises, []string{"project_path", "my-group/my-project", "ref_path", "refs/heads/main"}, "name one of project_id, namespace_id"},
		"a GitLab of one's own":                 {onPremises, []string{"project_id", "20", "ref_path", "refs/heads/main"}, ""},
		"a GitLab that is not Shared":           {private, []string{"project_path", "my-group/my-project", "ref_path", "refs/heads/main"}, ""},
		"B34 Kubernetes, a name in all of them": {kubernetes, []string{"serviceaccount", "default"}, "Name at least one of sub, serviceaccount_uid."},
		"B34 Kubernetes, all namespaces":        {kubernetes, []string{"sub", "system:serviceaccount:*"}, "at least 3 others"},
	} {
		t.Run(name, func(t *testing.T) {
			w := c.world(t)
			problems := strings.Join(w.list().Check(trusts(w.entry.Name, c.claims...)), " ")
			if c.want == "" {
				require.Empty(t, problems)
				return
			}
			require.Contains(t, problems, c.want)
		})
	}
}
