package engine

// AdminName is the sign-in name of the user that the first start makes.
const AdminName = "admin"

// The names that the first start gives, and the location of everything that is not in a cloud.
const (
	DefaultTenant        = "default"
	DefaultSubscription  = "default"
	DefaultResourceGroup = "default"
	LocalLocation        = "local"
	DefaultPolicy        = "default"
)
