// A storage account for satchel, set up as "satchel doctor" wants it. satchel azure template made this.
//
//   az group create --name GROUP --location LOCATION
//   az deployment group create --resource-group GROUP --template-file FILE
//
// Nothing in it deletes a blob of the repository: what is to go, and when, is the manifest's "retention".

targetScope = 'resourceGroup'

@description('The storage account: 3 to 24 lower-case letters and digits, a name that nobody else in the world has.')
@minLength(3)
@maxLength(24)
param account string

@description('The container of the repository.')
param container string = 'satchel'

@description('The region.')
param location string = 'eastus2'

@description('How many copies there are, and where.')
@allowed([
  'Standard_LRS'
  'Standard_ZRS'
  'Standard_GRS'
  'Standard_RAGRS'
  'Standard_GZRS'
  'Standard_RAGZRS'
])
param redundancy string = 'Standard_GRS'

@description('Keeps a version of what is deleted or written over.')
param versioning bool = true

@description('For how many days deleted blobs and containers can be brought back, and old versions stay.')
@minValue(7)
@maxValue(365)
param keepDays int = 30

@description('After how many days data packs (d/) go to the cool tier; 0 is never. Ledger, index and trees stay hot.')
@minValue(0)
param coolAfterDays int = 30

@description('Public addresses that are let in, such as 203.0.113.7. With none, and no subnet, every network is; a sign-in is needed all the same.')
param addresses array = []

@description('The id of a subnet for a private endpoint. Without addresses the public network is then off.')
param subnet string = ''

@description('Object ids of the people who push and pull: they get the role Storage Blob Data Contributor.')
param people array = []

@description('The name of a Key Vault to make, with purge protection; none if empty.')
param keyVault string = ''

@description('For how many days the log of reads, writes and deletions is kept.')
@minValue(30)
@maxValue(730)
param logDays int = 90

@description('Tags of everything that is made.')
param tags object = {}

// https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
var blobContributor = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', 'ba92f5b4-2d11-453d-a403-e96b0029c9fe')
var cryptoUser = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '12338af0-0e69-4776-bea7-57ae8d297424')
var secretsOfficer = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', 'b86a8fe4-44ce-4948-aee5-eccb2c155cd7')

var private = !empty(subnet)
var zone = 'privatelink.blob.${environment().suffixes.storage}'

resource storage 'Microsoft.Storage/storageAccounts@2023-05-01' = {
  name: account
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: redundancy
  }
  properties: {
    accessTier: 'Hot'
    supportsHttpsTrafficOnly: true
    minimumTlsVersion: 'TLS1_2'
    allowBlobPublicAccess: false
    allowSharedKeyAccess: false
    allowCrossTenantReplication: false
    defaultToOAuthAuthentication: true
    publicNetworkAccess: private && empty(addresses) ? 'Disabled' : 'Enabled'
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: private || !empty(addresses) ? 'Deny' : 'Allow'
      ipRules: [for address in addresses: {
        value: address
        action: 'Allow'
      }]
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2023-05-01' = {
  parent: storage
  name: 'default'
  properties: {
    isVersioningEnabled: versioning
    deleteRetentionPolicy: {
      enabled: true
      days: keepDays
    }
    containerDeleteRetentionPolicy: {
      enabled: true
      days: keepDays
    }
  }
}

resource repository 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' = {
  parent: blobs
  name: container
  properties: {
    publicAccess: 'None'
  }
}

var coolRule = {
  name: 'data-packs-to-cool'
  enabled: true
  type: 'Lifecycle'
  definition: {
    filters: {
      blobTypes: [
        'blockBlob'
      ]
      prefixMatch: [
        '${container}/d/'
      ]
    }
    actions: {
      baseBlob: {
        tierToCool: {
          daysAfterModificationGreaterThan: coolAfterDays
        }
      }
    }
  }
}

// Versions of what satchel itself has deleted, which would stay for ever.
var versionRule = {
  name: 'old-versions-go'
  enabled: true
  type: 'Lifecycle'
  definition: {
    filters: {
      blobTypes: [
        'blockBlob'
      ]
      prefixMatch: [
        '${container}/'
      ]
    }
    actions: {
      version: {
        delete: {
          daysAfterCreationGreaterThan: keepDays
        }
      }
    }
  }
}

resource lifecycle 'Microsoft.Storage/storageAccounts/managementPolicies@2023-05-01' = {
  parent: storage
  name: 'default'
  properties: {
    policy: {
      rules: concat(coolAfterDays > 0 ? [coolRule] : [], [versionRule])
    }
  }
  dependsOn: [
    blobs
  ]
}

resource log 'Microsoft.OperationalInsights/workspaces@2023-09-01' = {
  name: '${account}-log'
  location: location
  tags: tags
  properties: {
    sku: {
      name: 'PerGB2018'
    }
    retentionInDays: logDays
  }
}

resource logging 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'satchel'
  scope: blobs
  properties: {
    workspaceId: log.id
    logs: [
      {
        category: 'StorageRead'
        enabled: true
      }
      {
        category: 'StorageWrite'
        enabled: true
      }
      {
        category: 'StorageDelete'
        enabled: true
      }
    ]
  }
}

resource access 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for person in people: {
  name: guid(repository.id, person, blobContributor)
  scope: repository
  properties: {
    roleDefinitionId: blobContributor
    principalId: person
    principalType: 'User'
  }
}]

resource endpoint 'Microsoft.Network/privateEndpoints@2024-01-01' = if (private) {
  name: '${account}-blob'
  location: location
  tags: tags
  properties: {
    subnet: {
      id: subnet
    }
    privateLinkServiceConnections: [
      {
        name: account
        properties: {
          privateLinkServiceId: storage.id
          groupIds: [
            'blob'
          ]
        }
      }
    ]
  }
}

resource names 'Microsoft.Network/privateDnsZones@2020-06-01' = if (private) {
  name: zone
  location: 'global'
  tags: tags
}

resource namesHere 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2020-06-01' = if (private) {
  parent: names
  name: account
  location: 'global'
  properties: {
    registrationEnabled: false
    virtualNetwork: {
      id: private ? split(subnet, '/subnets/')[0] : ''
    }
  }
}

resource endpointName 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-01-01' = if (private) {
  parent: endpoint
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [
      {
        name: 'blob'
        properties: {
          privateDnsZoneId: names.id
        }
      }
    ]
  }
}

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' = if (!empty(keyVault)) {
  name: empty(keyVault) ? 'none' : keyVault
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: {
      family: 'A'
      name: 'standard'
    }
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: 90
    enablePurgeProtection: true
  }
}

resource key 'Microsoft.KeyVault/vaults/keys@2023-07-01' = if (!empty(keyVault)) {
  parent: vault
  name: 'satchel'
  properties: {
    kty: 'RSA'
    keySize: 3072
    keyOps: [
      'wrapKey'
      'unwrapKey'
    ]
  }
}

resource keyAccess 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for person in people: if (!empty(keyVault)) {
  name: guid(resourceGroup().id, keyVault, person, cryptoUser)
  scope: vault
  properties: {
    roleDefinitionId: cryptoUser
    principalId: person
    principalType: 'User'
  }
}]

resource secretAccess 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for person in people: if (!empty(keyVault)) {
  name: guid(resourceGroup().id, keyVault, person, secretsOfficer)
  scope: vault
  properties: {
    roleDefinitionId: secretsOfficer
    principalId: person
    principalType: 'User'
  }
}]

output store string = '${storage.properties.primaryEndpoints.blob}${container}'
