package secrets

var (
	ErrPepper = errPepper
	ErrDigest = errDigest
)
