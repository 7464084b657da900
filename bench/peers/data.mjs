// The part of the service's schema that the bench asks for, with the plainest resolvers over the same collections.
import DataLoader from "dataloader";
import { MongoClient } from "mongodb";

export const typeDefs = `
  type Query { vm(id: ID!): VM  vms(first: Int = 50): VMConnection! }
  type VMConnection { edges: [VMEdge!]!  pageInfo: PageInfo! }
  type VMEdge { cursor: String!  node: VM! }
  type PageInfo { hasNextPage: Boolean!  endCursor: String }
  type Location { city: String  region: String  country: String }
  type Launch { id: ID!  status: String!  gameId: String  userId: String!  requestedAt: String!  warning: String }
  type VM {
    id: ID!  status: String!  userId: String!  gameId: String  ipAddress: String  hourlyPrice: String!
    provider: String!  createdAt: String!  startedAt: String  stopsAt: String  warning: String  providerId: String
    location: Location!  launch: Launch
  }
`;

const client = await new MongoClient(process.env.MONGODB_ATLAS_URI).connect();
export const db = client.db(process.env.MONGODB_DATABASE);

export function loaders() {
  return {
    launch: new DataLoader(async (ids) => {
      const found = await db.collection("launches").find({ _id: { $in: [...ids] } }).toArray();
      const byId = new Map(found.map((launch) => [launch._id, launch]));
      return ids.map((id) => byId.get(id) ?? null);
    }),
  };
}

const time = (value) => (value ? value.toISOString() : null);

export const resolvers = {
  Query: {
    vm: (_, { id }) => db.collection("vms").findOne({ _id: id }),
    vms: async (_, { first }) => {
      const found = await db.collection("vms").find().sort({ created_at: -1, _id: -1 }).limit(first + 1).toArray();
      const edges = found.slice(0, first).map((node) => ({ cursor: node._id, node }));
      return { edges, pageInfo: { hasNextPage: found.length > first, endCursor: edges.at(-1)?.cursor ?? null } };
    },
  },
  VM: {
    id: (vm) => vm._id,
    userId: (vm) => vm.user_id,
    gameId: (vm) => vm.game_id,
    ipAddress: (vm) => vm.ip_address,
    providerId: (vm) => vm.provider_id,
    hourlyPrice: (vm) => vm.usd_per_hour.toString(),
    createdAt: (vm) => time(vm.created_at),
    startedAt: (vm) => time(vm.started_at),
    stopsAt: (vm) => time(vm.stops_at),
    location: (vm) => vm.place,
    launch: (vm, _, context) => context.loaders.launch.load(vm.launch_id),
  },
  Launch: {
    id: (launch) => launch._id,
    gameId: (launch) => launch.game_id,
    userId: (launch) => launch.user_id,
    requestedAt: (launch) => time(launch.requested_at),
  },
};
