package app

// Part is one of the values of an answer that is an object.
type Part struct {
	Path    string // names with dots between them, such as subnets.web.name
	Label   string
	Kind    Kind // KindText, KindSecret, KindChoice, KindNumber
	Lines   bool // of a text: several
	Choices []string
	When    string // path of the part that must have the value Is; empty: it is always shown
	Is      []string
}

// The documented outputs of elements that list resources in Azure's portal: what is picked there is typed here.
func partsOf(e Element) []Part {
	const newOrExisting = "newOrExisting"
	group, name := Part{Path: "resourceGroup", Label: "Resource group", Kind: KindText}, textPart("name", "Name")
	switch e.Type {
	case credentialsCombo:
		return credentialParts(e)
	case "Microsoft.Network.VirtualNetworkCombo":
		parts := []Part{
			oneOf(newOrExisting, "Network", "new", "existing"), name, group, textPart("addressPrefix", "Address prefix"),
		}
		subnets, _ := objectOf(e.More["subnets"])
		for _, subnet := range subnets.names {
			of, _ := objectOf(subnets.of[subnet])
			label, _ := of.of["label"].(string)
			if label == "" {
				label = subnet
			}
			parts = append(parts, textPart("subnets."+subnet+".name", label),
				textPart("subnets."+subnet+".addressPrefix", label+": address prefix"))
		}
		return parts
	case "Microsoft.Network.PublicIpAddressCombo":
		return addressParts(e)
	case "Microsoft.Storage.StorageAccountSelector":
		return []Part{
			oneOf(newOrExisting, "Account", "new", "existing"), name, group,
			oneOf("type", "Redundancy", "Standard_LRS", "Standard_ZRS", "Standard_GRS", "Standard_RAGRS", "Premium_LRS"),
		}
	case "Microsoft.Storage.MultiStorageAccountCombo":
		return []Part{
			textPart("prefix", "Prefix of the names"),
			{Path: "count", Label: "How many", Kind: KindNumber},
			group,
			oneOf("type", "Redundancy", "Standard_LRS", "Standard_ZRS", "Standard_GRS", "Standard_RAGRS", "Premium_LRS"),
		}
	case "Microsoft.Solutions.ResourceSelector":
		return []Part{textPart("id", "Resource id"), name, textPart("location", "Location")}
	case "Microsoft.KeyVault.KeyVaultCertificateSelector":
		return []Part{
			textPart("keyVaultName", "Key vault"), textPart("keyVaultId", "Resource id of the key vault"),
			textPart("certificateName", "Certificate"), textPart("certificateUrl", "Address of the certificate"),
			textPart("certificateThumbprint", "Thumbprint"),
		}
	case "Microsoft.Common.ServicePrincipalSelector":
		return []Part{
			textPart("appId", "Application id"), textPart("objectId", "Object id"),
			oneOf("authenticationType", "Authentication", "password", "certificateThumbprint"),
			{
				Path: "password", Label: "Password", Kind: KindSecret, When: "authenticationType",
				Is: []string{"password"},
			},
			{
				Path: "certificateThumbprint", Label: "Thumbprint", Kind: KindText, When: "authenticationType",
				Is: []string{"certificateThumbprint"},
			},
		}
	default:
		return nil
	}
}

func textPart(path, label string) Part { return Part{Path: path, Label: label, Kind: KindText} }

func oneOf(path, label string, choices ...string) Part {
	return Part{Path: path, Label: label, Kind: KindChoice, Choices: choices}
}

func credentialParts(e Element) []Part {
	const kind = "authenticationType"
	label := func(name, usual string) string {
		if e.Labels[name] != "" {
			return e.Labels[name]
		}
		return usual
	}
	if e.More["osPlatform"] == "Windows" {
		return []Part{
			oneOf(kind, label(kind, "Authentication"), "password"),
			{Path: "password", Label: label("password", "Password"), Kind: KindSecret},
		}
	}
	return []Part{
		oneOf(kind, label(kind, "Authentication"), "password", "sshPublicKey"),
		{
			Path: "password", Label: label("password", "Password"), Kind: KindSecret, When: kind,
			Is: []string{"password"},
		},
		{
			Path: "sshPublicKey", Label: label("sshPublicKey", "SSH public key"), Kind: KindText, Lines: true,
			When: kind, Is: []string{"sshPublicKey"},
		},
	}
}

func addressParts(e Element) []Part {
	const which = "newOrExistingOrNone"
	some := []string{"new"}
	if e.Options["hideExisting"] != true {
		some = append(some, "existing")
	}
	all := some
	if e.Options["hideNone"] != true {
		all = append([]string{"none"}, some...)
	}
	parts := []Part{oneOf(which, "Address", all...)}
	add := func(p Part) {
		p.When, p.Is = which, some
		parts = append(parts, p)
	}
	add(textPart("name", "Name"))
	add(Part{Path: "resourceGroup", Label: "Resource group", Kind: KindText})
	if e.Options["hideDomainNameLabel"] != true {
		add(textPart("domainNameLabel", "Domain name label"))
	}
	add(oneOf("publicIPAllocationMethod", "Allocation", "Dynamic", "Static"))
	add(oneOf("sku", "SKU", "Basic", "Standard"))
	return parts
}
