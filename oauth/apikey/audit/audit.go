// Package audit has the actions of audit events: the values of store.Event.Action.
package audit

// The actions.
const (
	Create          = "key.create"
	Import          = "key.import"
	Update          = "key.update"
	Rotate          = "key.rotate"            // a new secret, or a public key in place of another
	AddCredential   = "key.add_credential"    //nolint:gosec // a public key or a trust: the word is no credential
	Retire          = "key.retire_credential" // of any kind
	Disable         = "key.disable"
	Enable          = "key.enable"
	Delete          = "key.delete"
	Revoke          = "key.revoke_secret" // by the holder of the secret
	Leak            = "key.leak_report"   // by a scanner that found the secret
	Refuse          = "login.refused"
	Settings        = "settings.change"
	RevokeTokens    = "settings.revoke_tokens"
	Workspace       = "workspace.change"
	Suspend         = "workspace.suspend"
	Resume          = "workspace.resume"
	DeleteWorkspace = "workspace.delete"
	Export          = "key.export" // one event for all keys
	Restore         = "key.restore"
)
