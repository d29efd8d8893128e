package trust

// GitHubActions returns the entry "github" for workflows of github.com.
func GitHubActions() Issuer {
	return Issuer{
		Name: "github", Title: "GitHub Actions", Issuer: "https://token.actions.githubusercontent.com",
		Algorithms: []string{"RS256"}, Shared: true, OneOf: []string{"environment", "ref"},
		Claims: []Claim{
			{Name: "repository_id", Immutable: true, Help: "The id of the repository."},
			{Name: "repository_owner_id", Immutable: true, Help: "The id of the user or organization that owns the repository."},
			{Name: "environment", Help: "The environment of the job. Its protection rules decide which refs can use it."},
			{Name: "ref", Prefix: 2, Help: "The branch or tag, such as refs/heads/main or refs/tags/*."},
			{Name: "event_name", Unless: []string{
				"pull_request", "pull_request_target", "pull_request_review", "pull_request_review_comment", "issues", "issue_comment",
				"discussion", "discussion_comment", "fork", "watch", "gollum", "workflow_run", "check_run", "check_suite", "status",
			}, Help: "The event that started the workflow. Events that people without write access can cause are accepted only if they are named here."},
			{Name: "job_workflow_ref", Prefix: 6, Help: "The file of the job's workflow and its ref, such as acme/ci/.github/workflows/deploy.yml@refs/heads/main."},
			{Name: "workflow_ref", Prefix: 6, Help: "The file of the workflow that was started and its ref."},
			{Name: "runner_environment", Help: "Either github-hosted or self-hosted."},
			{Name: "repository", Help: "The owner and the name of the repository. Both can change; name repository_id too."},
		},
	}
}

// GitLab returns the entry for CI jobs of a GitLab server, such as "https://gitlab.com". Every user
// of the server can make a project, so it is Shared; a host may turn that off for its own server.
func GitLab(name, server string) Issuer {
	return Issuer{
		Name: name, Title: "GitLab CI", Issuer: server,
		Algorithms: []string{"RS256"}, Shared: true, OneOf: []string{"environment", "ref_path"},
		Claims: []Claim{
			{Name: "project_id", Immutable: true, Help: "The id of the project."},
			{Name: "namespace_id", Immutable: true, Help: "The id of the group or user that owns the project."},
			{Name: "environment", Help: "The environment of the job."},
			{Name: "environment_protected", Help: "Whether the environment is protected: true or false."},
			{Name: "ref_path", Prefix: 2, Help: "The branch or tag, such as refs/heads/main or refs/tags/*."},
			{Name: "ref_protected", Help: "Whether the branch or tag is protected: true or false."},
			{Name: "pipeline_source", Unless: []string{"merge_request_event", "external_pull_request_event", "parent_pipeline"},
				Help: "What started the pipeline. Sources that can run other people's code are accepted only if they are named here."},
			{Name: "runner_environment", Help: "Either gitlab-hosted or self-hosted."},
			{Name: "project_path", Help: "The path of the project. It can change; name project_id too."},
		},
	}
}

// Kubernetes returns the entry for service accounts of a cluster, whose API server has this
// issuer (--service-account-issuer).
func Kubernetes(name, issuer string) Issuer {
	in := func(path ...string) []string { return append([]string{"kubernetes.io"}, path...) }
	return Issuer{
		Name: name, Title: "Kubernetes", Issuer: issuer, OneOf: []string{"sub", "serviceaccount_uid"},
		Claims: []Claim{
			{Name: "sub", Prefix: 3, Help: "The service account as system:serviceaccount:NAMESPACE:NAME."},
			{Name: "serviceaccount_uid", Path: in("serviceaccount", "uid"), Immutable: true, Help: "The uid of the service account, which a new one of the same name does not have."},
			{Name: "namespace", Path: in("namespace"), Help: "The namespace of the service account."},
			{Name: "serviceaccount", Path: in("serviceaccount", "name"), Help: "The name of the service account in its namespace."},
			{Name: "pod", Path: in("pod", "name"), Help: "The name of the pod."},
			{Name: "node", Path: in("node", "name"), Help: "The name of the node."},
		},
	}
}
