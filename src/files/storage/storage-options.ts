import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { type BucketAccess, bucketAccess, type Environment } from './bucket.js'

/** How data on other machines are read. */
export interface StorageOptions {
  /** The folder of the cache. */
  readonly cache: string
  /** Most bytes that the cache takes. */
  readonly cacheBytes: number
  /** Whether http:// may lead to other machines. */
  readonly allowHttp: boolean
  /** How requests to buckets are addressed and signed. */
  readonly bucket: BucketAccess
  /** How a request that fails is made again. */
  readonly retrying: Retrying
  /** Reads nothing that is in the cache already, so that what is read is what the server has. */
  readonly fresh: boolean
}

/** How a request that fails is made again. */
export interface Retrying {
  /** How often, without a byte having come meanwhile, before giving up. */
  readonly retries: number
  /** Time before the first retry in ms, doubled for each further one, half to one and a half times as long. */
  readonly waitMs: number
  /** Time without a byte after which a connection counts as broken, in ms. */
  readonly idleMs: number
}

const GIB = 2 ** 30
const defaultCacheGib = 20
/** Below this the blocks of requests under way would not fit. */
const leastCacheGib = 1 / 16

/**
 * What the environment says: `PMOE_CACHE` names the folder of the cache, `PMOE_CACHE_GIB` its size, `PMOE_ALLOW_HTTP=1` allows http://
 * to other machines, and the usual variables of AWS give access to buckets.
 *
 * @throws RangeError when the size is no number of at least 1/16, or half of a pair of keys is missing
 */
export function storageOptions(env: Environment = process.env): StorageOptions {
  const gib = env.PMOE_CACHE_GIB || `${defaultCacheGib}`
  if (!(Number(gib) >= leastCacheGib)) {
    throw new RangeError(`PMOE_CACHE_GIB must be a number of GiB of at least ${leastCacheGib}, got ${gib}`)
  }
  const allowHttp = env.PMOE_ALLOW_HTTP === '1'
  return {
    cache: env.PMOE_CACHE
      ? resolve(env.PMOE_CACHE)
      : join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'patch-moe', 'storage'),
    cacheBytes: Number(gib) * GIB,
    allowHttp,
    bucket: bucketAccess(env, allowHttp),
    retrying: { retries: 5, waitMs: 500, idleMs: 30_000 },
    fresh: false,
  }
}
