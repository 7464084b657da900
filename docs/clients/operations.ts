// Written by tests/clients/node/types.mjs.

/** Internal type. DO NOT USE DIRECTLY. */
type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
/** Internal type. DO NOT USE DIRECTLY. */
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
/** A cloud that machines are rented from. */
export type ProviderName =
  /** TensorDock, a marketplace of GPU hosts. */
  | 'TENSORDOCK'
  /** Google Cloud, through CloudyPad. */
  | 'CLOUDYPAD';

/** What a caller may do. */
export type Role =
  /** May play, and see and change only what is its own. */
  | 'PLAYER'
  /** May act for any player and change settings, limits and keys. */
  | 'OPERATOR'
  /** May act for any player. */
  | 'SERVICE';

/** A game console. */
export type ConsoleType =
  /** Nintendo Entertainment System. */
  | 'NES'
  /** Super Nintendo Entertainment System. */
  | 'SNES'
  /** Game Boy and Game Boy Color. */
  | 'GB'
  /** Game Boy Advance. */
  | 'GBA'
  /** Nintendo DS. */
  | 'DS'
  /** Nintendo 3DS. */
  | 'N3DS'
  /** Nintendo GameCube. */
  | 'GC'
  /** Nintendo Wii. */
  | 'WII'
  /** Nintendo Switch. */
  | 'SWITCH';

/** The name of a machine size. */
export type PresetName =
  /** A machine without a GPU, for 8- and 16-bit consoles and handhelds. */
  | 'RETRO'
  /** A machine with a basic GPU. */
  | 'ADVANCED'
  /** A machine with a high-end GPU. */
  | 'PREMIUM';

/** A position on Earth, in degrees, WGS 84. */
export type CoordinatesInput = {
  /** Degrees north of the equator: -90 to 90. */
  latitude: number;
  /** Degrees east of Greenwich: -180 to 180. */
  longitude: number;
};

/** Where an expected waiting time comes from. */
export type PlayableBasis =
  /** Our own launches at this site. */
  | 'SITE'
  /** Our own launches at this cloud. */
  | 'PROVIDER'
  /** Published figures of others, because there are too few launches of our own. */
  | 'PUBLIC_FIGURES';

/** A network round trip that the player's device measured. */
export type MeasuredRttInput = {
  /** The global id of the site. */
  siteId: string | number;
  /** The round trip in milliseconds: more than 0, at most 60000. Values are clamped to 1 to 1000. */
  rttMs: number;
};

/** The state of a VM. */
export type VmStatus =
  /** Being rented and set up. */
  | 'PROVISIONING'
  /** Running, and billed at its hourly price. */
  | 'RUNNING'
  /** Being stopped. */
  | 'STOPPING'
  /** Stopped: kept with its disk, and usually billed only for storage. */
  | 'STOPPED'
  /** Being started after a stop. */
  | 'STARTING'
  /** Being deleted: saves are uploaded first. */
  | 'DELETING'
  /** Deleted: the cloud confirmed it. Final. */
  | 'DELETED'
  /** No machine was ever rented for it. Final. */
  | 'FAILED'
  /** The cloud lost the machine, or its deletion could not be confirmed. The sweeper resolves it. */
  | 'LOST';

/** The state of a launch. */
export type LaunchStatus =
  /** Accepted, but not begun. */
  | 'QUEUED'
  /** Under way. */
  | 'RUNNING'
  /** The machine is ready to stream. Final. */
  | 'READY'
  /** Being cancelled: its machine is being deleted. */
  | 'CANCELLING'
  /** Cancelled: the cloud confirmed that nothing is left of it. Final. */
  | 'CANCELLED'
  /** Failed; `failure` says why. Final. */
  | 'FAILED';

/** A step of a launch, in the order in which steps run. */
export type LaunchStepName =
  /** Rank the sites and choose one. */
  | 'CHOOSE_PLACEMENT'
  /** Rent the machine. */
  | 'CREATE_VM'
  /** Wait until the machine runs and has an address. */
  | 'BOOT'
  /** Connect to the machine by SSH. */
  | 'CONNECT'
  /** Install the game-streaming server. */
  | 'INSTALL_STREAMING'
  /** Mount the game library. */
  | 'MOUNT_LIBRARY'
  /** Download the player's saves. */
  | 'RESTORE_SAVES'
  /** Set up the game on the streaming server. */
  | 'CONFIGURE_GAME'
  /** Check that the streaming server answers from outside. */
  | 'VERIFY_STREAM';

/** The state of a launch step. */
export type StepStatus =
  /** Not begun. */
  | 'PENDING'
  /** Under way. */
  | 'RUNNING'
  /** Completed. */
  | 'DONE'
  /** Not needed for this launch. */
  | 'SKIPPED'
  /** Failed. */
  | 'FAILED';

/** Where the amounts of a report come from. */
export type CostBasis =
  /** Our own meter: the price of each machine for the time that it ran or was kept. */
  | 'METERED'
  /** What the providers say they charged. */
  | 'PROVIDER_BILLED';

/** The length of a report's buckets. */
export type CostGranularity =
  /** One bucket per hour. */
  | 'HOUR'
  /** One bucket per day, UTC. */
  | 'DAY'
  /** One bucket per calendar month, UTC. */
  | 'MONTH';

/** What a report's amounts are grouped by. */
export type CostGroup =
  /** By cloud. */
  | 'PROVIDER'
  /** By console. */
  | 'CONSOLE'
  /** By user. */
  | 'USER'
  /** By VM. */
  | 'VM';

/** The period of a spending limit. */
export type LimitPeriod =
  /** A calendar day, UTC. */
  | 'DAILY'
  /** A calendar month, UTC. */
  | 'MONTHLY';

/** How urgent an alert is. */
export type AlertLevel =
  /** For information. Spending: the forecast is above the limit. */
  | 'INFO'
  /** Needs attention soon. Spending: 80 % of the limit is spent. */
  | 'WARNING'
  /** Needs attention now. Spending: the limit is reached. */
  | 'CRITICAL';

/** The kind of an operator alert, with the subject that it is about. */
export type OperatorAlertCode =
  /** A prepaid account is running out of money. Subject: the provider. */
  | 'BALANCE_LOW'
  /** A quota is used up. Subject: the provider and the quota, such as `CLOUDYPAD:GPUS_ALL_REGIONS`. */
  | 'QUOTA_EXCEEDED'
  /** The sweeper would delete an unusual number of machines and waits for an operator's confirmation. Subject: `sweeper`. */
  | 'SWEEP_PAUSED'
  /** The account has machines of another deployment. Subject: the provider. */
  | 'FOREIGN_MACHINES'
  /** A running machine does not respond. Subject: the VM. */
  | 'MACHINE_UNREACHABLE'
  /** A machine was stopped by its host. Subject: the VM. */
  | 'MACHINE_STOPPED_BY_HOST'
  /** It cannot be measured whether a machine is in use. Subject: the VM. */
  | 'ACTIVITY_UNKNOWN'
  /** A provider's billing data stopped arriving. Subject: the provider. */
  | 'BILLING_EXPORT_STALE';

/** How far a pairing is. */
export type PairingStatus =
  /** The PIN waits for a device that asks to be paired. */
  | 'WAITING'
  /** A device has paired. */
  | 'PAIRED'
  /** A device used another PIN and was refused. The window is still open. */
  | 'WRONG_PIN'
  /** The window closed before a device paired. */
  | 'EXPIRED';

/** What saves are made by. */
export type SaveKind =
  /** What games save themselves: memory cards, battery memory and the files that these need. */
  | 'GAME'
  /** Save states: an emulator's snapshots of a whole console. */
  | 'STATE';

/** Why a version of a save exists. */
export type SaveVersionReason =
  /** A machine uploaded it, and it became current then. */
  | 'UPLOADED'
  /** It was current, but no upload of this service. */
  | 'IMPORTED'
  /** Another machine had saved meanwhile. The player has to choose. */
  | 'CONFLICT'
  /** A save in it suddenly held nothing. The player has to choose. */
  | 'SHRUNK'
  /** The player has chosen between it and others. */
  | 'SETTLED';

/** How far a machine of the warm pool is. */
export type WarmMachineStatus =
  /** It is being rented and set up. */
  | 'PREPARING'
  /** It is set up, and off until a launch takes it. */
  | 'READY'
  /** A launch has taken it: it is a VM now. */
  | 'TAKEN'
  /** It is being deleted at its cloud. */
  | 'RELEASING'
  /** Nothing of it remains at its cloud. */
  | 'RELEASED';

/** The state of a scheduled launch. */
export type ScheduledLaunchStatus =
  /** Its launch will be requested in time. */
  | 'PLANNED'
  /** Its launch is being requested. */
  | 'STARTING'
  /** Its launch was requested: see `launch`. */
  | 'STARTED'
  /** It was cancelled before its launch was requested. */
  | 'CANCELLED'
  /** Its launch was refused: see `failure`. */
  | 'FAILED';

/** A game to play. */
export type LaunchGameInput = {
  /** The console to play. It decides the machine's size and its emulator. */
  console: ConsoleType;
  /** The player's position. If omitted, the cheapest machine that fits is used. */
  location?: CoordinatesInput | null | undefined;
  /** The only cloud to use. If omitted, all clouds that the console enables are used. */
  provider?: ProviderName | null | undefined;
  /** The highest price per hour in USD. If omitted, only the console's own limits apply. */
  maxHourlyPrice?: string | null | undefined;
  /** How many minutes without play stop the machine: 1 to 1440. If omitted, the console's value is used. */
  idleStopMinutes?: number | null | undefined;
  /** How many hours the machine may run: more than 0, at most 24. If omitted, the console's value is used. */
  maxSessionHours?: number | null | undefined;
  /** Round trips that the player's device measured, at most 100. They replace the estimates of these sites in the ranking. A repeated request may send others. */
  measuredRtt?: Array<MeasuredRttInput> | null | undefined;
  /** The user who plays. Services and operators only; a player always plays as itself. */
  userId?: string | null | undefined;
  /** A key that makes the request safe to repeat: the same key from the same caller for the same user returns the same launch for at least a week. Reusing it with other arguments is refused with the code IDEMPOTENCY_KEY_REUSED. */
  idempotencyKey?: string | null | undefined;
  /** The id of the game: `Game.gameId`. */
  gameId: string;
  /** The save slot to restore. If omitted, the player's default slot is used. */
  saveId?: string | null | undefined;
  /** The machine to play on. If omitted, the user's running machine for the console is used, or else a new one is rented. */
  vmId?: string | number | null | undefined;
};

/** A machine to rent without a game. */
export type CreateVmInput = {
  /** The console to play. It decides the machine's size and its emulator. */
  console: ConsoleType;
  /** The player's position. If omitted, the cheapest machine that fits is used. */
  location?: CoordinatesInput | null | undefined;
  /** The only cloud to use. If omitted, all clouds that the console enables are used. */
  provider?: ProviderName | null | undefined;
  /** The highest price per hour in USD. If omitted, only the console's own limits apply. */
  maxHourlyPrice?: string | null | undefined;
  /** How many minutes without play stop the machine: 1 to 1440. If omitted, the console's value is used. */
  idleStopMinutes?: number | null | undefined;
  /** How many hours the machine may run: more than 0, at most 24. If omitted, the console's value is used. */
  maxSessionHours?: number | null | undefined;
  /** Round trips that the player's device measured, at most 100. They replace the estimates of these sites in the ranking. A repeated request may send others. */
  measuredRtt?: Array<MeasuredRttInput> | null | undefined;
  /** The user who plays. Services and operators only; a player always plays as itself. */
  userId?: string | null | undefined;
  /** A key that makes the request safe to repeat: the same key from the same caller for the same user returns the same launch for at least a week. Reusing it with other arguments is refused with the code IDEMPOTENCY_KEY_REUSED. */
  idempotencyKey?: string | null | undefined;
};

/** The API key to create. */
export type CreateApiKeyInput = {
  /** A name by which operators recognise the key. */
  name: string;
  /** The role of callers that use the key. */
  role: Role;
  /** When the key expires. If omitted, it does not expire. */
  expiresAt?: string | null | undefined;
};

/** A spending limit to set. */
export type SetSpendingLimitInput = {
  /** The period that the limit applies to, UTC. */
  period: LimitPeriod;
  /** The limit in USD. */
  amount: string;
  /** Whether reaching the limit refuses launches and stops machines. A soft limit only raises alerts. */
  hard?: boolean | null | undefined;
  /** The user to limit. If omitted, the limit applies to the whole platform. */
  userId?: string | null | undefined;
};

/** The spending limit to remove. */
export type RemoveSpendingLimitInput = {
  /** The period of the limit. */
  period: LimitPeriod;
  /** The user of the limit. If omitted, the limit of the whole platform is removed. */
  userId?: string | null | undefined;
};

/** Changes to a console's settings. Omitted fields keep their values. */
export type ConfigureConsoleInput = {
  /** The console to change. */
  console: ConsoleType;
  /** The size of machine that its games need. */
  preset?: PresetName | null | undefined;
  /** The container image that Wolf streams, such as `ghcr.io/games-on-whales/retroarch:edge`. */
  emulatorImage?: string | null | undefined;
  /** The clouds to use, in order of preference. Replaces the whole list: a cloud that is missing is not used. */
  providers?: Array<ProviderPreferenceInput> | null | undefined;
  /** How many hours a machine may run before it is stopped: more than 0, at most 24. */
  maxSessionHours?: number | null | undefined;
  /** How many minutes without play stop a machine: 1 to 1440. */
  idleStopMinutes?: number | null | undefined;
};

/** How a console is to use one cloud. */
export type ProviderPreferenceInput = {
  /** The cloud. Each cloud may appear once. */
  provider: ProviderName;
  /** Whether launches of the console may use the cloud. At least one cloud must stay enabled. */
  enabled: boolean;
  /** The highest price per hour in USD that launches accept at this cloud, at most 1000. Null: no limit. */
  maxHourlyPrice?: string | null | undefined;
};

/** The settings of the warm pool. */
export type SetWarmPoolInput = {
  /** What the pool may cost in a day, UTC, in USD: 0 to 10000. 0 switches the pool off and releases its machines. */
  ceilingPerDay: string;
};

/** A game to play at a certain time. */
export type ScheduleLaunchInput = {
  /** The console to play. It decides the machine's size and its emulator. */
  console: ConsoleType;
  /** The player's position. If omitted, the cheapest machine that fits is used. */
  location?: CoordinatesInput | null | undefined;
  /** The only cloud to use. If omitted, all clouds that the console enables are used. */
  provider?: ProviderName | null | undefined;
  /** The highest price per hour in USD. If omitted, only the console's own limits apply. */
  maxHourlyPrice?: string | null | undefined;
  /** How many minutes without play stop the machine: 1 to 1440. If omitted, the console's value is used. */
  idleStopMinutes?: number | null | undefined;
  /** How many hours the machine may run: more than 0, at most 24. If omitted, the console's value is used. */
  maxSessionHours?: number | null | undefined;
  /** Round trips that the player's device measured, at most 100. They replace the estimates of these sites in the ranking. A repeated request may send others. */
  measuredRtt?: Array<MeasuredRttInput> | null | undefined;
  /** The user who plays. Services and operators only; a player always plays as itself. */
  userId?: string | null | undefined;
  /** A key that makes the request safe to repeat: the same key from the same caller for the same user returns the same launch for at least a week. Reusing it with other arguments is refused with the code IDEMPOTENCY_KEY_REUSED. */
  idempotencyKey?: string | null | undefined;
  /** When the game is to be playable: in the future, within the next 30 days. */
  at: string;
  /** The id of the game: `Game.gameId`. */
  gameId: string;
  /** The save slot to restore. If omitted, the player's default slot is used. */
  saveId?: string | null | undefined;
};

/** The scheduled launch to cancel. */
export type CancelScheduledLaunchInput = {
  /** The global id of the scheduled launch. */
  scheduledLaunchId: string | number;
};

export type ApiKeysQueryVariables = Exact<{
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type ApiKeysQuery = { apiKeys: { edges: Array<{ cursor: string, node: { id: string, name: string, role: Role, createdAt: string, expiresAt: string | null, lastUsedAt: string | null, revokedAt: string | null } }>, pageInfo: { hasNextPage: boolean, endCursor: string | null } } };

export type AuditLogQueryVariables = Exact<{
  subjectId?: string | number | null | undefined;
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type AuditLogQuery = { auditLog: { edges: Array<{ cursor: string, node: { id: string, at: string, actorId: string, actorRole: Role, action: string, subjectId: string | null, outcome: string, detail: string | null } }>, pageInfo: { hasNextPage: boolean, endCursor: string | null } } };

export type CancelLaunchMutationVariables = Exact<{
  launchId: string | number;
}>;


export type CancelLaunchMutation = { cancelLaunch: { launch: { id: string, status: LaunchStatus } | null, errors: Array<
      | { __typename: 'InvalidInput', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NotFound', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NoCapacity', code: string, message: string, path: Array<string> | null }
      | { __typename: 'SpendingLimitReached', code: string, message: string, path: Array<string> | null }
      | { __typename: 'InvalidState', status: string, code: string, message: string, path: Array<string> | null }
      | { __typename: 'ProviderUnavailable', code: string, message: string, path: Array<string> | null }
    > } };

export type CancelScheduledLaunchMutationVariables = Exact<{
  input: CancelScheduledLaunchInput;
}>;


export type CancelScheduledLaunchMutation = { cancelScheduledLaunch: { scheduledLaunch: { id: string, status: ScheduledLaunchStatus } | null, errors: Array<
      | { __typename: 'InvalidInput', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NotFound', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NoCapacity', code: string, message: string, path: Array<string> | null }
      | { __typename: 'SpendingLimitReached', code: string, message: string, path: Array<string> | null }
      | { __typename: 'InvalidState', code: string, message: string, path: Array<string> | null }
      | { __typename: 'ProviderUnavailable', code: string, message: string, path: Array<string> | null }
    > } };

export type ClosestHostnodesQueryVariables = Exact<{
  from: CoordinatesInput;
  console: ConsoleType;
  limit?: number | null | undefined;
}>;


export type ClosestHostnodesQuery = { closestHostnodes: Array<{ rank: number, distanceKm: number | null, estimatedRttMs: number | null, hourlyPrice: string, reasons: Array<string>, site:
      | { id: string, location: { city: string | null, country: string | null } }
      | { id: string, location: { city: string | null, country: string | null } }
     }> };

export type ClosestRegionsQueryVariables = Exact<{
  from: CoordinatesInput;
  console: ConsoleType;
  limit?: number | null | undefined;
}>;


export type ClosestRegionsQuery = { closestRegions: Array<{ rank: number, distanceKm: number | null, estimatedRttMs: number | null, hourlyPrice: string, reasons: Array<string>, site:
      | { id: string, location: { city: string | null, country: string | null } }
      | { name: string, gpuModels: Array<string>, hourlyPrice: string | null, fits: boolean, id: string, location: { city: string | null, country: string | null } }
     }> };

export type ConfigureConsoleMutationVariables = Exact<{
  input: ConfigureConsoleInput;
}>;


export type ConfigureConsoleMutation = { configureConsole: { console: { id: string, type: ConsoleType, maxSessionHours: number, idleStopMinutes: number, playable: boolean, preset: { name: PresetName, vcpus: number, ramGb: number, storageGb: number }, emulator: { image: string }, providers: Array<{ provider: ProviderName, enabled: boolean, maxHourlyPrice: string | null }> } | null, errors: Array<
      | { __typename: 'InvalidInput', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NotFound', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NoCapacity', code: string, message: string, path: Array<string> | null }
      | { __typename: 'SpendingLimitReached', code: string, message: string, path: Array<string> | null }
      | { __typename: 'InvalidState', code: string, message: string, path: Array<string> | null }
      | { __typename: 'ProviderUnavailable', code: string, message: string, path: Array<string> | null }
    > } };

export type ConsoleQueryVariables = Exact<{
  type: ConsoleType;
}>;


export type ConsoleQuery = { console: { id: string, type: ConsoleType, name: string, playable: boolean, preset: { name: PresetName }, emulator: { name: string, image: string } } };

export type ConsolesQueryVariables = Exact<{ [key: string]: never; }>;


export type ConsolesQuery = { consoles: Array<{ id: string, type: ConsoleType, name: string, maxSessionHours: number, idleStopMinutes: number, playable: boolean, preset: { name: PresetName, vcpus: number, ramGb: number, storageGb: number, gpu: { minVramGb: number, models: Array<string> } | null }, emulator: { name: string, image: string, romExtensions: Array<string> }, providers: Array<{ provider: ProviderName, enabled: boolean, maxHourlyPrice: string | null }> }> };

export type CostComparisonQueryVariables = Exact<{
  start: string;
  end: string;
}>;


export type CostComparisonQuery = { costComparison: { currency: string, asOf: string | null, rows: Array<{ day: string, provider: ProviderName, vmId: string | null, metered: string, billed: string | null, difference: string | null }> } };

export type CostEstimateQueryVariables = Exact<{
  console: ConsoleType;
  hours: number;
  from?: CoordinatesInput | null | undefined;
  provider?: ProviderName | null | undefined;
}>;


export type CostEstimateQuery = { costEstimate: { hourlyPrice: string, total: string, currency: string, playableIn: { p50Seconds: number, p90Seconds: number, samples: number, basis: PlayableBasis, warm: boolean } | null, lines: Array<{ group: string, amount: string, runningHours: number }>, placement: { provider: ProviderName, distanceKm: number | null, site:
        | { id: string, location: { city: string | null, country: string | null } }
        | { id: string, location: { city: string | null, country: string | null } }
       } | null } };

export type CostReportQueryVariables = Exact<{
  start: string;
  end: string;
  granularity?: CostGranularity | null | undefined;
  groupBy?: CostGroup | null | undefined;
  userId?: string | null | undefined;
  basis?: CostBasis | null | undefined;
}>;


export type CostReportQuery = { costReport: { start: string, end: string, currency: string, basis: CostBasis, total: string, runningHours: number, forecast: string | null, asOf: string | null, knownUntil: string | null, buckets: Array<{ start: string, end: string, amount: string, runningHours: number, lines: Array<{ group: string, amount: string, runningHours: number }> }>, groups: Array<{ group: string, amount: string, runningHours: number }> } };

export type CreateApiKeyMutationVariables = Exact<{
  input: CreateApiKeyInput;
}>;


export type CreateApiKeyMutation = { createApiKey: { secret: string | null, apiKey: { id: string, name: string, role: Role, createdAt: string, expiresAt: string | null } | null, errors: Array<
      | { __typename: 'InvalidInput', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NotFound', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NoCapacity', code: string, message: string, path: Array<string> | null }
      | { __typename: 'SpendingLimitReached', code: string, message: string, path: Array<string> | null }
      | { __typename: 'InvalidState', code: string, message: string, path: Array<string> | null }
      | { __typename: 'ProviderUnavailable', code: string, message: string, path: Array<string> | null }
    > } };

export type CreateVmMutationVariables = Exact<{
  input: CreateVmInput;
}>;


export type CreateVmMutation = { createVm: { launch: { id: string, status: LaunchStatus, progress: number, requestedAt: string, estimatedReadyAt: string | null } | null, errors: Array<
      | { __typename: 'InvalidInput', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NotFound', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NoCapacity', code: string, message: string, path: Array<string> | null }
      | { __typename: 'SpendingLimitReached', code: string, message: string, path: Array<string> | null }
      | { __typename: 'InvalidState', status: string, code: string, message: string, path: Array<string> | null }
      | { __typename: 'ProviderUnavailable', provider: ProviderName, code: string, message: string, path: Array<string> | null }
    > } };

export type CurrentMonthCostsQueryVariables = Exact<{
  groupBy?: CostGroup | null | undefined;
  userId?: string | null | undefined;
}>;


export type CurrentMonthCostsQuery = { currentMonthCosts: { start: string, end: string, currency: string, total: string, runningHours: number, forecast: string | null, buckets: Array<{ start: string, amount: string, runningHours: number }>, groups: Array<{ group: string, amount: string, runningHours: number }> } };

export type DeleteSaveMutationVariables = Exact<{
  slotId: string | number;
}>;


export type DeleteSaveMutation = { deleteSave: { slot: { id: string, saveId: string, deletedAt: string | null, purgedAt: string | null, inUse: boolean, current: { id: string, at: string, bytes: number, files: number, vmId: string | null, device: string | null } | null, conflict: { kind: SaveKind, versions: Array<{ id: string, at: string, vmId: string | null, device: string | null, isCurrent: boolean }> } | null } | null, errors: Array<
      | { __typename: 'InvalidInput', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NotFound', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NoCapacity', code: string, message: string, path: Array<string> | null }
      | { __typename: 'SpendingLimitReached', code: string, message: string, path: Array<string> | null }
      | { __typename: 'InvalidState', status: string, code: string, message: string, path: Array<string> | null }
      | { __typename: 'ProviderUnavailable', code: string, message: string, path: Array<string> | null }
    > } };

export type DeleteVmMutationVariables = Exact<{
  vmId: string | number;
}>;


export type DeleteVmMutation = { deleteVm: { vm: { id: string, status: VmStatus, stopsAt: string | null } | null, errors: Array<
      | { __typename: 'InvalidInput', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NotFound', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NoCapacity', code: string, message: string, path: Array<string> | null }
      | { __typename: 'SpendingLimitReached', code: string, message: string, path: Array<string> | null }
      | { __typename: 'InvalidState', status: string, code: string, message: string, path: Array<string> | null }
      | { __typename: 'ProviderUnavailable', code: string, message: string, path: Array<string> | null }
    > } };

export type DeleteVmWithoutSavesMutationVariables = Exact<{
  vmId: string | number;
}>;


export type DeleteVmWithoutSavesMutation = { deleteVmWithoutSaves: { vm: { id: string, status: VmStatus, warning: string | null } | null, errors: Array<
      | { __typename: 'InvalidInput', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NotFound', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NoCapacity', code: string, message: string, path: Array<string> | null }
      | { __typename: 'SpendingLimitReached', code: string, message: string, path: Array<string> | null }
      | { __typename: 'InvalidState', status: string, code: string, message: string, path: Array<string> | null }
      | { __typename: 'ProviderUnavailable', code: string, message: string, path: Array<string> | null }
    > } };

export type DownloadSaveMutationVariables = Exact<{
  versionId: string | number;
}>;


export type DownloadSaveMutation = { downloadSave: { download: { url: string, expiresAt: string, bytes: number } | null, errors: Array<
      | { __typename: 'InvalidInput', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NotFound', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NoCapacity', code: string, message: string, path: Array<string> | null }
      | { __typename: 'SpendingLimitReached', code: string, message: string, path: Array<string> | null }
      | { __typename: 'InvalidState', status: string, code: string, message: string, path: Array<string> | null }
      | { __typename: 'ProviderUnavailable', code: string, message: string, path: Array<string> | null }
    > } };

export type EmulatorImagesQueryVariables = Exact<{ [key: string]: never; }>;


export type EmulatorImagesQuery = { emulatorImages: Array<{ image: string, digest: string | null, resolvedAt: string | null, checkedAt: string | null, problem: string | null }> };

export type FollowLaunchSubscriptionVariables = Exact<{
  launchId: string | number;
  after?: number | null | undefined;
}>;


export type FollowLaunchSubscription = { launchProgress: { sequence: number, at: string, status: LaunchStatus, step: LaunchStepName | null, stepStatus: StepStatus | null, progress: number, message: string, launch: { id: string, status: LaunchStatus, gameId: string | null, saveId: string | null, progress: number, requestedAt: string, readyAt: string | null, estimatedReadyAt: string | null, failure: string | null, warning: string | null, playableAfterSeconds: number | null, console: { type: ConsoleType, name: string }, steps: Array<{ name: LaunchStepName, status: StepStatus, startedAt: string | null, finishedAt: string | null, detail: string | null }>, attempts: Array<{ provider: ProviderName, siteId: string, startedAt: string, outcome: string }>, vm: { id: string, status: VmStatus } | null, playableIn: { p50Seconds: number, p90Seconds: number, samples: number, basis: PlayableBasis, warm: boolean } | null } } };

export type GamesQueryVariables = Exact<{
  console?: ConsoleType | null | undefined;
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type GamesQuery = { games: { edges: Array<{ cursor: string, node: { id: string, gameId: string, console: ConsoleType, title: string, coverUrl: string | null } }>, pageInfo: { hasNextPage: boolean, endCursor: string | null } } };

export type HostnodePricesQueryVariables = Exact<{
  from: CoordinatesInput;
  console: ConsoleType;
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type HostnodePricesQuery = { hostnodes: { edges: Array<{ node: { id: string, distanceKm: number | null, fits: boolean, hourlyPrice: string | null } }>, pageInfo: { hasNextPage: boolean, endCursor: string | null } } };

export type HostnodesQueryVariables = Exact<{
  console?: ConsoleType | null | undefined;
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type HostnodesQuery = { hostnodes: { edges: Array<{ cursor: string, node: { id: string, provider: ProviderName, cpuModel: string | null, vcpusAvailable: number, ramGbAvailable: number, storageGbAvailable: number, online: boolean, location: { city: string | null, region: string | null, country: string | null, countryCode: string | null, coordinates: { latitude: number, longitude: number } | null }, gpus: Array<{ model: string, vramGb: number, available: number, hourlyPrice: string }> } }>, pageInfo: { hasNextPage: boolean, endCursor: string | null } } };

export type KeepSaveMutationVariables = Exact<{
  versionId: string | number;
}>;


export type KeepSaveMutation = { keepSave: { slot: { id: string, saveId: string, deletedAt: string | null, purgedAt: string | null, inUse: boolean, current: { id: string, at: string, bytes: number, files: number, vmId: string | null, device: string | null } | null, conflict: { kind: SaveKind, versions: Array<{ id: string, at: string, vmId: string | null, device: string | null, isCurrent: boolean }> } | null } | null, errors: Array<
      | { __typename: 'InvalidInput', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NotFound', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NoCapacity', code: string, message: string, path: Array<string> | null }
      | { __typename: 'SpendingLimitReached', code: string, message: string, path: Array<string> | null }
      | { __typename: 'InvalidState', status: string, code: string, message: string, path: Array<string> | null }
      | { __typename: 'ProviderUnavailable', code: string, message: string, path: Array<string> | null }
    > } };

export type LaunchQueryVariables = Exact<{
  id: string | number;
}>;


export type LaunchQuery = { launch: { id: string, status: LaunchStatus, gameId: string | null, saveId: string | null, userId: string, progress: number, requestedAt: string, readyAt: string | null, estimatedReadyAt: string | null, failure: string | null, warning: string | null, playableAfterSeconds: number | null, console: { type: ConsoleType, name: string }, steps: Array<{ name: LaunchStepName, status: StepStatus, startedAt: string | null, finishedAt: string | null, detail: string | null }>, attempts: Array<{ provider: ProviderName, siteId: string, startedAt: string, outcome: string }>, vm: { id: string, status: VmStatus, ipAddress: string | null } | null, playableIn: { p50Seconds: number, p90Seconds: number, samples: number, basis: PlayableBasis, warm: boolean } | null } | null };

export type LaunchChangesSubscriptionVariables = Exact<{
  status?: Array<LaunchStatus> | LaunchStatus | null | undefined;
  userId?: string | null | undefined;
  after?: string | null | undefined;
}>;


export type LaunchChangesSubscription = { launchChanges: { cursor: string, launch: { id: string, status: LaunchStatus, gameId: string | null, userId: string, progress: number, requestedAt: string, readyAt: string | null, estimatedReadyAt: string | null, failure: string | null, warning: string | null, console: { type: ConsoleType }, steps: Array<{ name: LaunchStepName, status: StepStatus, startedAt: string | null, finishedAt: string | null, detail: string | null }>, attempts: Array<{ provider: ProviderName, siteId: string, startedAt: string, outcome: string }>, vm: { id: string } | null } | null } };

export type LaunchGameMutationVariables = Exact<{
  input: LaunchGameInput;
}>;


export type LaunchGameMutation = { launchGame: { launch: { id: string, status: LaunchStatus, progress: number, requestedAt: string, estimatedReadyAt: string | null, warning: string | null } | null, errors: Array<
      | { __typename: 'InvalidInput', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NotFound', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NoCapacity', code: string, message: string, path: Array<string> | null, attempts: Array<{ provider: ProviderName, siteId: string, startedAt: string, outcome: string }> }
      | { __typename: 'SpendingLimitReached', limit: string, spent: string, code: string, message: string, path: Array<string> | null }
      | { __typename: 'InvalidState', status: string, code: string, message: string, path: Array<string> | null }
      | { __typename: 'ProviderUnavailable', provider: ProviderName, code: string, message: string, path: Array<string> | null }
    > } };

export type LaunchProgressSubscriptionVariables = Exact<{
  launchId: string | number;
  after?: number | null | undefined;
}>;


export type LaunchProgressSubscription = { launchProgress: { launchId: string, sequence: number, at: string, status: LaunchStatus, step: LaunchStepName | null, stepStatus: StepStatus | null, progress: number, message: string, launch: { id: string, status: LaunchStatus, estimatedReadyAt: string | null, failure: string | null, vm: { id: string, status: VmStatus, ipAddress: string | null, hourlyPrice: string, stream: { host: string, httpsPort: number, httpPort: number, rtspPort: number } | null } | null } } };

export type LaunchTimesQueryVariables = Exact<{
  months?: number | null | undefined;
}>;


export type LaunchTimesQuery = { launchTimes: Array<{ month: string, provider: ProviderName, siteKey: string, warm: boolean, launches: number, medianSeconds: number, p90Seconds: number, promises: number, keptShare: number | null }> };

export type LaunchesQueryVariables = Exact<{
  status?: Array<LaunchStatus> | LaunchStatus | null | undefined;
  userId?: string | null | undefined;
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type LaunchesQuery = { launches: { edges: Array<{ cursor: string, node: { id: string, status: LaunchStatus, gameId: string | null, userId: string, progress: number, requestedAt: string, readyAt: string | null, failure: string | null, console: { type: ConsoleType }, vm: { id: string, status: VmStatus } | null } }>, pageInfo: { hasNextPage: boolean, hasPreviousPage: boolean, startCursor: string | null, endCursor: string | null } } };

export type LaunchesOnMapQueryVariables = Exact<{ [key: string]: never; }>;


export type LaunchesOnMapQuery = { launches: { edges: Array<{ node: { id: string, status: LaunchStatus, userId: string, gameId: string | null, console: { type: ConsoleType }, attempts: Array<{ provider: ProviderName, siteId: string, startedAt: string, outcome: string }> } }> } };

export type LocationsQueryVariables = Exact<{ [key: string]: never; }>;


export type LocationsQuery = { locations: Array<{ country: string, countryCode: string | null, city: string | null, hostnodes: number, gpusAvailable: number, coordinates: { latitude: number, longitude: number } | null }> };

export type MachinesQueryVariables = Exact<{
  status?: Array<VmStatus> | VmStatus | null | undefined;
  userId?: string | null | undefined;
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type MachinesQuery = { vms: { edges: Array<{ node: { id: string, name: string, provider: ProviderName, status: VmStatus, userId: string, gameId: string | null, ipAddress: string | null, hourlyPrice: string, costSoFar: string, runningSeconds: number, createdAt: string, startedAt: string | null, stoppedAt: string | null, lastActivityAt: string | null, idleStopMinutes: number, stopsAt: string | null, warning: string | null, console: { type: ConsoleType }, location: { city: string | null, country: string | null, countryCode: string | null, coordinates: { latitude: number, longitude: number } | null }, stream: { host: string, httpsPort: number, httpPort: number, rtspPort: number, paired: boolean } | null } }>, pageInfo: { hasNextPage: boolean, endCursor: string | null } } };

export type NodeQueryVariables = Exact<{
  id: string | number;
}>;


export type NodeQuery = { node:
    | { __typename: 'Console', type: ConsoleType, id: string }
    | { __typename: 'Game', gameId: string, title: string, id: string }
    | { __typename: 'Hostnode', online: boolean, id: string }
    | { __typename: 'VM', id: string, vmStatus: VmStatus }
    | { __typename: 'Launch', id: string, launchStatus: LaunchStatus }
    | { __typename: 'ApiKey', id: string }
    | { __typename: 'AuditEntry', id: string }
    | { __typename: 'Region', id: string }
    | { __typename: 'SaveSlot', saveId: string, id: string }
    | { __typename: 'SaveVersion', kind: SaveKind, at: string, id: string }
    | { __typename: 'ScheduledLaunch', id: string }
   | null };

export type OperatorAlertChangedSubscriptionVariables = Exact<{ [key: string]: never; }>;


export type OperatorAlertChangedSubscription = { operatorAlerts: { level: AlertLevel, code: OperatorAlertCode, message: string, subjectId: string, raisedAt: string, clearedAt: string | null } };

export type OperatorAlertsQueryVariables = Exact<{
  includeCleared?: boolean | null | undefined;
  limit?: number | null | undefined;
}>;


export type OperatorAlertsQuery = { operatorAlerts: Array<{ level: AlertLevel, code: OperatorAlertCode, message: string, subjectId: string, raisedAt: string, clearedAt: string | null }> };

export type PairClientMutationVariables = Exact<{
  vmId: string | number;
  pin: string;
}>;


export type PairClientMutation = { pairClient: { vm: { id: string, stream: { host: string, paired: boolean } | null } | null, errors: Array<
      | { __typename: 'InvalidInput', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NotFound', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NoCapacity', code: string, message: string, path: Array<string> | null }
      | { __typename: 'SpendingLimitReached', code: string, message: string, path: Array<string> | null }
      | { __typename: 'InvalidState', status: string, code: string, message: string, path: Array<string> | null }
      | { __typename: 'ProviderUnavailable', code: string, message: string, path: Array<string> | null }
    > } };

export type PairingQueryVariables = Exact<{
  vmId: string | number;
}>;


export type PairingQuery = { pairing: { status: PairingStatus, pin: string | null, qrText: string | null, qrSvg: string | null, startedAt: string, expiresAt: string } | null };

export type PlacementsQueryVariables = Exact<{
  from?: CoordinatesInput | null | undefined;
  console: ConsoleType;
  provider?: ProviderName | null | undefined;
  limit?: number | null | undefined;
  measuredRtt?: Array<MeasuredRttInput> | MeasuredRttInput | null | undefined;
}>;


export type PlacementsQuery = { placements: Array<{ rank: number, provider: ProviderName, distanceKm: number | null, estimatedRttMs: number | null, measuredRttMs: number | null, hourlyPrice: string, score: number, reasons: Array<string>, site:
      | { id: string, location: { city: string | null, region: string | null, country: string | null, countryCode: string | null, coordinates: { latitude: number, longitude: number } | null } }
      | { id: string, location: { city: string | null, region: string | null, country: string | null, countryCode: string | null, coordinates: { latitude: number, longitude: number } | null } }
    , playableIn: { p50Seconds: number, p90Seconds: number, samples: number, basis: PlayableBasis, warm: boolean } | null }> };

export type PlayerCostReportQueryVariables = Exact<{
  start: string;
  end: string;
  granularity?: CostGranularity | null | undefined;
  groupBy?: CostGroup | null | undefined;
  userId?: string | null | undefined;
}>;


export type PlayerCostReportQuery = { playerCostReport: { start: string, end: string, currency: string, total: string, runningHours: number, forecast: string | null, buckets: Array<{ start: string, end: string, amount: string, lines: Array<{ group: string, amount: string, runningHours: number }> }>, groups: Array<{ group: string, amount: string, runningHours: number }> } };

export type ProvidersQueryVariables = Exact<{ [key: string]: never; }>;


export type ProvidersQuery = { providers: Array<{ name: ProviderName, configured: boolean, healthy: boolean, simulated: boolean, detail: string | null }> };

export type ReceiptsQueryVariables = Exact<{
  start: string;
  end: string;
  userId?: string | null | undefined;
}>;


export type ReceiptsQuery = { receipts: { start: string, end: string, currency: string, total: string, receipts: Array<{ vmId: string, userId: string, provider: ProviderName, console: ConsoleType, played: boolean, start: string, end: string | null, amount: string, lines: Array<{ start: string, end: string | null, hourlyPrice: string, amount: string }> }> } };

export type RefreshEmulatorImagesMutationVariables = Exact<{
  image?: string | null | undefined;
}>;


export type RefreshEmulatorImagesMutation = { refreshEmulatorImages: { images: Array<{ image: string, digest: string | null, resolvedAt: string | null, checkedAt: string | null, problem: string | null }> | null, errors: Array<
      | { __typename: 'InvalidInput', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NotFound', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NoCapacity', code: string, message: string, path: Array<string> | null }
      | { __typename: 'SpendingLimitReached', code: string, message: string, path: Array<string> | null }
      | { __typename: 'InvalidState', code: string, message: string, path: Array<string> | null }
      | { __typename: 'ProviderUnavailable', code: string, message: string, path: Array<string> | null }
    > } };

export type RegionsQueryVariables = Exact<{
  console?: ConsoleType | null | undefined;
}>;


export type RegionsQuery = { regions: Array<{ id: string, name: string, continent: string, zones: Array<string>, gpuModels: Array<string>, carbonFreeEnergyPercent: number | null, location: { city: string | null, country: string | null, countryCode: string | null, coordinates: { latitude: number, longitude: number } | null } }> };

export type RemoveSpendingLimitMutationVariables = Exact<{
  input: RemoveSpendingLimitInput;
}>;


export type RemoveSpendingLimitMutation = { removeSpendingLimit: { limit: { period: LimitPeriod, amount: string, currency: string, hard: boolean, userId: string | null } | null, errors: Array<
      | { code: string, message: string, path: Array<string> | null }
      | { code: string, message: string, path: Array<string> | null }
      | { code: string, message: string, path: Array<string> | null }
      | { code: string, message: string, path: Array<string> | null }
      | { code: string, message: string, path: Array<string> | null }
      | { code: string, message: string, path: Array<string> | null }
    > } };

export type RenameSaveMutationVariables = Exact<{
  slotId: string | number;
  saveId: string;
}>;


export type RenameSaveMutation = { renameSave: { slot: { id: string, saveId: string, deletedAt: string | null, purgedAt: string | null, inUse: boolean, current: { id: string, at: string, bytes: number, files: number, vmId: string | null, device: string | null } | null, conflict: { kind: SaveKind, versions: Array<{ id: string, at: string, vmId: string | null, device: string | null, isCurrent: boolean }> } | null } | null, errors: Array<
      | { __typename: 'InvalidInput', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NotFound', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NoCapacity', code: string, message: string, path: Array<string> | null }
      | { __typename: 'SpendingLimitReached', code: string, message: string, path: Array<string> | null }
      | { __typename: 'InvalidState', status: string, code: string, message: string, path: Array<string> | null }
      | { __typename: 'ProviderUnavailable', code: string, message: string, path: Array<string> | null }
    > } };

export type RestartVmMutationVariables = Exact<{
  vmId: string | number;
}>;


export type RestartVmMutation = { restartVm: { vm: { id: string, status: VmStatus, stopsAt: string | null } | null, errors: Array<
      | { __typename: 'InvalidInput', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NotFound', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NoCapacity', code: string, message: string, path: Array<string> | null }
      | { __typename: 'SpendingLimitReached', code: string, message: string, path: Array<string> | null }
      | { __typename: 'InvalidState', status: string, code: string, message: string, path: Array<string> | null }
      | { __typename: 'ProviderUnavailable', code: string, message: string, path: Array<string> | null }
    > } };

export type RestoreSaveMutationVariables = Exact<{
  versionId: string | number;
}>;


export type RestoreSaveMutation = { restoreSave: { slot: { id: string, saveId: string, deletedAt: string | null, purgedAt: string | null, inUse: boolean, current: { id: string, at: string, bytes: number, files: number, vmId: string | null, device: string | null } | null, conflict: { kind: SaveKind, versions: Array<{ id: string, at: string, vmId: string | null, device: string | null, isCurrent: boolean }> } | null } | null, errors: Array<
      | { __typename: 'InvalidInput', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NotFound', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NoCapacity', code: string, message: string, path: Array<string> | null }
      | { __typename: 'SpendingLimitReached', code: string, message: string, path: Array<string> | null }
      | { __typename: 'InvalidState', status: string, code: string, message: string, path: Array<string> | null }
      | { __typename: 'ProviderUnavailable', code: string, message: string, path: Array<string> | null }
    > } };

export type RevokeApiKeyMutationVariables = Exact<{
  apiKeyId: string | number;
}>;


export type RevokeApiKeyMutation = { revokeApiKey: { apiKey: { id: string, name: string, lastUsedAt: string | null, revokedAt: string | null } | null, errors: Array<
      | { __typename: 'InvalidInput', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NotFound', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NoCapacity', code: string, message: string, path: Array<string> | null }
      | { __typename: 'SpendingLimitReached', code: string, message: string, path: Array<string> | null }
      | { __typename: 'InvalidState', code: string, message: string, path: Array<string> | null }
      | { __typename: 'ProviderUnavailable', code: string, message: string, path: Array<string> | null }
    > } };

export type RttProbesQueryVariables = Exact<{ [key: string]: never; }>;


export type RttProbesQuery = { rttProbes: Array<{ siteId: string, url: string }> };

export type SavesQueryVariables = Exact<{
  console: ConsoleType;
  gameId?: string | null | undefined;
  userId?: string | null | undefined;
  deleted?: boolean | null | undefined;
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type SavesQuery = { saves: Array<{ id: string, saveId: string, console: ConsoleType, gameId: string | null, userId: string, inUse: boolean, deletedAt: string | null, purgedAt: string | null, current: { id: string, at: string, bytes: number, files: number, vmId: string | null, device: string | null } | null, states: { id: string, at: string, bytes: number, files: number } | null, versions: { edges: Array<{ cursor: string, node: { id: string, kind: SaveKind, reason: SaveVersionReason, at: string, bytes: number, files: number, vmId: string | null, device: string | null, damaged: boolean, isCurrent: boolean } }>, pageInfo: { hasNextPage: boolean, endCursor: string | null } }, conflict: { kind: SaveKind, versions: Array<{ id: string, reason: SaveVersionReason, at: string, bytes: number, files: number, vmId: string | null, device: string | null, damaged: boolean, isCurrent: boolean }> } | null }> };

export type ScheduleLaunchMutationVariables = Exact<{
  input: ScheduleLaunchInput;
}>;


export type ScheduleLaunchMutation = { scheduleLaunch: { scheduledLaunch: { id: string, at: string, status: ScheduledLaunchStatus, gameId: string, saveId: string | null, userId: string, plannedAt: string, failure: string | null, console: { type: ConsoleType, name: string }, launch: { id: string, status: LaunchStatus } | null } | null, errors: Array<
      | { __typename: 'InvalidInput', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NotFound', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NoCapacity', code: string, message: string, path: Array<string> | null }
      | { __typename: 'SpendingLimitReached', code: string, message: string, path: Array<string> | null }
      | { __typename: 'InvalidState', code: string, message: string, path: Array<string> | null }
      | { __typename: 'ProviderUnavailable', code: string, message: string, path: Array<string> | null }
    > } };

export type ScheduledLaunchesQueryVariables = Exact<{
  userId?: string | null | undefined;
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type ScheduledLaunchesQuery = { scheduledLaunches: { edges: Array<{ cursor: string, node: { id: string, at: string, status: ScheduledLaunchStatus, gameId: string, saveId: string | null, userId: string, plannedAt: string, failure: string | null, console: { type: ConsoleType, name: string }, launch: { id: string, status: LaunchStatus } | null } }>, pageInfo: { hasNextPage: boolean, endCursor: string | null } } };

export type SessionsQueryVariables = Exact<{
  userId?: string | null | undefined;
  launchStatus?: Array<LaunchStatus> | LaunchStatus | null | undefined;
  vmStatus?: Array<VmStatus> | VmStatus | null | undefined;
  first?: number | null | undefined;
}>;


export type SessionsQuery = { launches: { edges: Array<{ node: { id: string, status: LaunchStatus, gameId: string | null, progress: number, requestedAt: string, estimatedReadyAt: string | null, console: { type: ConsoleType, name: string } } }> }, vms: { edges: Array<{ node: { id: string, status: VmStatus, gameId: string | null, hourlyPrice: string, costSoFar: string, stopsAt: string | null, warning: string | null, console: { type: ConsoleType, name: string }, location: { city: string | null, country: string | null }, launch: { id: string, status: LaunchStatus } | null } }> } };

export type SetSpendingLimitMutationVariables = Exact<{
  input: SetSpendingLimitInput;
}>;


export type SetSpendingLimitMutation = { setSpendingLimit: { limit: { period: LimitPeriod, amount: string, currency: string, hard: boolean, userId: string | null } | null, errors: Array<
      | { code: string, message: string, path: Array<string> | null }
      | { code: string, message: string, path: Array<string> | null }
      | { code: string, message: string, path: Array<string> | null }
      | { code: string, message: string, path: Array<string> | null }
      | { code: string, message: string, path: Array<string> | null }
      | { code: string, message: string, path: Array<string> | null }
    > } };

export type SetWarmPoolMutationVariables = Exact<{
  input: SetWarmPoolInput;
}>;


export type SetWarmPoolMutation = { setWarmPool: { warmPool: { ceilingPerDay: string, spentToday: string, mostToday: string, currency: string, machines: Array<{ id: string, status: WarmMachineStatus }> } | null, errors: Array<
      | { code: string, message: string, path: Array<string> | null }
      | { code: string, message: string, path: Array<string> | null }
      | { code: string, message: string, path: Array<string> | null }
      | { code: string, message: string, path: Array<string> | null }
      | { code: string, message: string, path: Array<string> | null }
      | { code: string, message: string, path: Array<string> | null }
    > } };

export type SkippedLibraryFilesQueryVariables = Exact<{
  console?: ConsoleType | null | undefined;
}>;


export type SkippedLibraryFilesQuery = { skippedLibraryFiles: Array<{ console: ConsoleType, reason: string, count: number, examples: Array<string> }> };

export type SpendingAlertRaisedSubscriptionVariables = Exact<{ [key: string]: never; }>;


export type SpendingAlertRaisedSubscription = { spendingAlerts: { level: AlertLevel, period: LimitPeriod, limit: string, spent: string, forecast: string, currency: string, message: string, userId: string | null, raisedAt: string } };

export type SpendingAlertsQueryVariables = Exact<{
  dailyLimit?: string | null | undefined;
  monthlyLimit?: string | null | undefined;
  userId?: string | null | undefined;
}>;


export type SpendingAlertsQuery = { spendingAlerts: Array<{ level: AlertLevel, period: LimitPeriod, limit: string, spent: string, forecast: string, currency: string, message: string, userId: string | null, raisedAt: string }> };

export type SpendingLimitsQueryVariables = Exact<{
  userId?: string | null | undefined;
}>;


export type SpendingLimitsQuery = { spendingLimits: Array<{ period: LimitPeriod, amount: string, currency: string, hard: boolean, userId: string | null }> };

export type StartPairingMutationVariables = Exact<{
  vmId: string | number;
}>;


export type StartPairingMutation = { startPairing: { pairing: { status: PairingStatus, pin: string | null, qrText: string | null, qrSvg: string | null, startedAt: string, expiresAt: string } | null, errors: Array<
      | { __typename: 'InvalidInput', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NotFound', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NoCapacity', code: string, message: string, path: Array<string> | null }
      | { __typename: 'SpendingLimitReached', code: string, message: string, path: Array<string> | null }
      | { __typename: 'InvalidState', status: string, code: string, message: string, path: Array<string> | null }
      | { __typename: 'ProviderUnavailable', code: string, message: string, path: Array<string> | null }
    > } };

export type StartVmMutationVariables = Exact<{
  vmId: string | number;
}>;


export type StartVmMutation = { startVm: { vm: { id: string, status: VmStatus, stopsAt: string | null } | null, errors: Array<
      | { __typename: 'InvalidInput', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NotFound', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NoCapacity', code: string, message: string, path: Array<string> | null }
      | { __typename: 'SpendingLimitReached', code: string, message: string, path: Array<string> | null }
      | { __typename: 'InvalidState', status: string, code: string, message: string, path: Array<string> | null }
      | { __typename: 'ProviderUnavailable', code: string, message: string, path: Array<string> | null }
    > } };

export type StopVmMutationVariables = Exact<{
  vmId: string | number;
}>;


export type StopVmMutation = { stopVm: { vm: { id: string, status: VmStatus, stopsAt: string | null } | null, errors: Array<
      | { __typename: 'InvalidInput', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NotFound', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NoCapacity', code: string, message: string, path: Array<string> | null }
      | { __typename: 'SpendingLimitReached', code: string, message: string, path: Array<string> | null }
      | { __typename: 'InvalidState', status: string, code: string, message: string, path: Array<string> | null }
      | { __typename: 'ProviderUnavailable', code: string, message: string, path: Array<string> | null }
    > } };

export type SweepsQueryVariables = Exact<{ [key: string]: never; }>;


export type SweepsQuery = { sweeps: Array<{ provider: ProviderName, at: string }> };

export type UndeleteSaveMutationVariables = Exact<{
  slotId: string | number;
}>;


export type UndeleteSaveMutation = { undeleteSave: { slot: { id: string, saveId: string, deletedAt: string | null, purgedAt: string | null, inUse: boolean, current: { id: string, at: string, bytes: number, files: number, vmId: string | null, device: string | null } | null, conflict: { kind: SaveKind, versions: Array<{ id: string, at: string, vmId: string | null, device: string | null, isCurrent: boolean }> } | null } | null, errors: Array<
      | { __typename: 'InvalidInput', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NotFound', code: string, message: string, path: Array<string> | null }
      | { __typename: 'NoCapacity', code: string, message: string, path: Array<string> | null }
      | { __typename: 'SpendingLimitReached', code: string, message: string, path: Array<string> | null }
      | { __typename: 'InvalidState', status: string, code: string, message: string, path: Array<string> | null }
      | { __typename: 'ProviderUnavailable', code: string, message: string, path: Array<string> | null }
    > } };

export type ViewerQueryVariables = Exact<{ [key: string]: never; }>;


export type ViewerQuery = { viewer: { id: string, role: Role }, service: { name: string, version: string } };

export type VmQueryVariables = Exact<{
  id: string | number;
}>;


export type VmQuery = { vm: { id: string, name: string, provider: ProviderName, providerId: string | null, status: VmStatus, userId: string, gameId: string | null, ipAddress: string | null, hourlyPrice: string, costSoFar: string, runningSeconds: number, createdAt: string, startedAt: string | null, stoppedAt: string | null, lastActivityAt: string | null, stopsAt: string | null, warning: string | null, console: { type: ConsoleType, name: string }, preset: { name: PresetName, vcpus: number, ramGb: number, storageGb: number, gpu: { minVramGb: number, models: Array<string> } | null }, site:
      | { id: string, provider: ProviderName }
      | { id: string, provider: ProviderName }
     | null, location: { city: string | null, region: string | null, country: string | null, countryCode: string | null, coordinates: { latitude: number, longitude: number } | null }, stream: { host: string, httpsPort: number, httpPort: number, rtspPort: number, paired: boolean } | null, launch: { id: string, status: LaunchStatus } | null, replacement: { id: string, status: LaunchStatus } | null } | null };

export type VmChangesSubscriptionVariables = Exact<{
  status?: Array<VmStatus> | VmStatus | null | undefined;
  userId?: string | null | undefined;
  after?: string | null | undefined;
}>;


export type VmChangesSubscription = { vmChanges: { cursor: string, vm: { id: string, name: string, provider: ProviderName, status: VmStatus, userId: string, gameId: string | null, ipAddress: string | null, hourlyPrice: string, costSoFar: string, runningSeconds: number, createdAt: string, startedAt: string | null, stoppedAt: string | null, lastActivityAt: string | null, idleStopMinutes: number, stopsAt: string | null, warning: string | null, console: { type: ConsoleType }, location: { city: string | null, country: string | null, countryCode: string | null, coordinates: { latitude: number, longitude: number } | null }, stream: { host: string, httpsPort: number, httpPort: number, rtspPort: number, paired: boolean } | null } | null } };

export type VmStatusSubscriptionVariables = Exact<{
  vmId: string | number;
}>;


export type VmStatusSubscription = { vmStatus: { id: string, status: VmStatus, ipAddress: string | null, costSoFar: string, runningSeconds: number, lastActivityAt: string | null, stopsAt: string | null, warning: string | null, stream: { host: string, httpsPort: number, httpPort: number, rtspPort: number, paired: boolean } | null } };

export type VmsQueryVariables = Exact<{
  status?: Array<VmStatus> | VmStatus | null | undefined;
  userId?: string | null | undefined;
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type VmsQuery = { vms: { edges: Array<{ cursor: string, node: { id: string, name: string, status: VmStatus, userId: string, gameId: string | null, ipAddress: string | null, hourlyPrice: string, costSoFar: string, createdAt: string, stopsAt: string | null, console: { type: ConsoleType }, location: { city: string | null, country: string | null } } }>, pageInfo: { hasNextPage: boolean, hasPreviousPage: boolean, startCursor: string | null, endCursor: string | null } } };

export type WarmPoolQueryVariables = Exact<{ [key: string]: never; }>;


export type WarmPoolQuery = { warmPool: { ceilingPerDay: string, spentToday: string, mostToday: string, currency: string, machines: Array<{ id: string, status: WarmMachineStatus, provider: ProviderName, providerId: string | null, siteKey: string, city: string | null, preset: PresetName, hourlyPrice: string, hourlyPriceStopped: string, createdAt: string, readyAt: string | null, detail: string | null }> } };
