package oauthtest

import (
	"crypto/rand"
	"time"
)

// GitHubActions returns the identity of a job of a GitHub workflow: a push to main in the
// repository octo-org/octo-repo (repository_id 74, repository_owner_id 65), in the
// environment "production". It is valid for 5 minutes.
//
// Source: https://docs.github.com/en/actions/reference/security/oidc
func (i *Issuer) GitHubActions(audience string) Identity {
	const sha = "3f1c0de5a7b24d6e8f90a1b2c3d4e5f60718293a"
	const workflow = "octo-org/octo-repo/.github/workflows/deploy.yml@refs/heads/main"
	id := i.identity("repo:octo-org@65/octo-repo@74:environment:production", audience, 10*time.Minute, 5*time.Minute, map[string]any{
		"actor": "octocat", "actor_id": "12",
		"base_ref": "", "head_ref": "", "ref": "refs/heads/main", "ref_type": "branch", "ref_protected": "true", "sha": sha,
		"environment": "production", "event_name": "push",
		"job_workflow_ref": workflow, "job_workflow_sha": sha,
		"workflow": "deploy", "workflow_ref": workflow, "workflow_sha": sha,
		"repository": "octo-org/octo-repo", "repository_id": "74", "repository_visibility": "private",
		"repository_owner": "octo-org", "repository_owner_id": "65",
		"run_id": "17203498817", "run_number": "10", "run_attempt": "1", "check_run_id": "48800210077",
		"runner_environment": "github-hosted",
	})
	id.Header = map[string]any{"typ": "JWT", "x5t": "cBLQnB0dLXCYt2gAi0WJf4Xn0yc"}
	return id
}

// GitLab returns the identity of a CI job of a GitLab server: a push to the protected
// branch main of my-group/my-project (project_id 20, namespace_id 72), in the environment
// "production". It is valid for an hour.
//
// Source: https://docs.gitlab.com/ci/secrets/id_token_authentication/
func (i *Issuer) GitLab(audience string) Identity {
	const sha = "714a629c0b401fdce83e847fc9589983fc6f46bc"
	id := i.identity("project_path:my-group/my-project:ref_type:branch:ref:main", audience, 5*time.Second, time.Hour, map[string]any{
		"namespace_id": "72", "namespace_path": "my-group",
		"project_id": "20", "project_path": "my-group/my-project", "project_visibility": "private",
		"user_id": "1", "user_login": "sample-user", "user_email": "sample-user@example.com", "user_access_level": "developer",
		"pipeline_id": "574", "pipeline_source": "push", "job_id": "302",
		"ref": "main", "ref_type": "branch", "ref_path": "refs/heads/main", "ref_protected": "true", "sha": sha,
		"groups_direct": []string{"my-group"},
		"environment":   "production", "environment_protected": "true", "environment_action": "start", "deployment_tier": "production",
		"runner_id": 1, "runner_environment": "gitlab-hosted",
		"ci_config_ref_uri": "gitlab.example.com/my-group/my-project//.gitlab-ci.yml@refs/heads/main", "ci_config_sha": sha,
	})
	id.Header = map[string]any{"typ": "JWT"}
	return id
}

// Kubernetes returns the identity of a pod from a projected volume: the service account
// "deployer" in the namespace "ci". The audience is an array. It is valid for an hour.
// There is no typ.
//
// Source: https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/
func (i *Issuer) Kubernetes(audience string) Identity {
	id := i.identity("system:serviceaccount:ci:deployer", audience, 0, time.Hour, map[string]any{
		"aud": []string{audience},
		"kubernetes.io": map[string]any{
			"namespace":      "ci",
			"node":           map[string]any{"name": "worker-1", "uid": "517eb86e-b863-451b-bf70-86cb61439a3a"},
			"pod":            map[string]any{"name": "deployer-7d9f", "uid": "0d8b260e-ef0e-45fb-be8e-ff44f97722e8"},
			"serviceaccount": map[string]any{"name": "deployer", "uid": "e6a8680e-d103-4cce-80ea-03acbbeacf7d"},
		},
	})
	id.Header = map[string]any{}
	return id
}

// identity adds the registered claims (RFC 7519, section 4.1) that are not among the claims.
func (i *Issuer) identity(subject, audience string, before, life time.Duration, claims map[string]any) Identity {
	now := i.Clock.Now()
	for name, value := range map[string]any{
		"iss": i.URL, "sub": subject, "aud": audience, "jti": rand.Text(),
		"iat": now.Unix(), "nbf": now.Add(-before).Unix(), "exp": now.Add(life).Unix(),
	} {
		if _, given := claims[name]; !given {
			claims[name] = value
		}
	}
	return Identity{Claims: claims}
}
