import { posix } from 'node:path'
import type { DataSource } from '../../data/data-source.js'
import { parseAddress, type StorageAddress } from './address.js'
import { BlockCache } from './block-cache.js'
import { HeldBlocks } from './blocks.js'
import { bucketUrl, refusalAdvice, signedHeaders } from './bucket.js'
import { listBucket } from './bucket-listing.js'
import { type ObjectReading, openObject, type RemoteObject } from './remote-object.js'
import { type ObjectPlace, Requests, StorageError } from './requests.js'
import { type StorageOptions, storageOptions } from './storage-options.js'

/** Blocks of all objects of a folder that are held in memory, 32 MiB. */
const heldBlocks = 128

/**
 * A `DataSource` over an address: its files are read in parts, which are kept in a cache on the disk.
 *
 * Each object is opened once and is checked to stay as it was then. Only what begins with a prefix in a bucket can be listed.
 *
 * @param text an address, as `parseAddress` takes it
 * @throws RangeError when it is none, or a variable of the environment is wrong; when something is read StorageError naming the object
 *   that is not there, is refused or cannot be reached, RangeError where it has changed
 */
export function remoteFolder(text: string, options: StorageOptions = storageOptions()): DataSource {
  const address = parseAddress(text, options.allowHttp)
  const requests = new Requests(options.retrying, options.allowHttp)
  const objects = new Map<string, Promise<RemoteObject>>()
  let reading: Promise<ObjectReading> | undefined
  const placeOf = (path: string): ObjectPlace => objectPlace(address, insidePath(address.text, path), options)
  const openReading = async (): Promise<ObjectReading> => ({
    requests,
    cache: await BlockCache.open(options.cache, options.cacheBytes),
    held: new HeldBlocks(heldBlocks),
    fresh: options.fresh,
  })
  const open = (path: string): Promise<RemoteObject> => {
    const place = placeOf(path)
    const opened = objects.get(place.url.href)
    if (opened) return opened
    reading ??= openReading()
    const opening = reading.then(how => openObject(place, how))
    objects.set(place.url.href, opening)
    // What is not there now may be there later.
    opening.catch(() => objects.delete(place.url.href))
    return opening
  }
  return {
    open,
    async read(path) {
      const object = await open(path)
      return object.slice(0, object.length)
    },
    async exists(path) {
      try {
        await open(path)
        return true
      } catch (error) {
        if (error instanceof StorageError && (error.status === 404 || error.status === 410)) return false
        throw error
      }
    },
    async list(folder) {
      const { shown } = placeOf(folder)
      if (address.kind === 's3')
        return listBucket(address, insidePath(address.text, folder), options.bucket, requests)
      throw new Error(
        `${shown}: address must be that of a prepared folder (with manifest.json), of a zip archive, or s3://, ` +
          'got a folder whose files cannot be listed',
      )
    },
    describe: path => placeOf(path).shown,
  }
}

function objectPlace(address: StorageAddress, path: string, { bucket: access }: StorageOptions): ObjectPlace {
  const shown = path === '' ? address.text : `${address.text}/${path}`
  if (address.kind === 'http') {
    const encoded = path.split('/').map(encodeURIComponent).join('/')
    return { shown, url: new URL(path === '' ? address.text : `${address.text}/${encoded}`) }
  }
  const key = [address.prefix, path].filter(part => part !== '').join('/')
  return {
    shown,
    url: bucketUrl(access, address.bucket, key),
    authorise: url => signedHeaders(access, url),
    advise: (status, headers) => refusalAdvice(access, status, headers),
  }
}

/** A path without `.`, `..` and a slash at its end. */
function insidePath(address: string, path: string): string {
  const name = posix.normalize(path).replace(/\/$/, '')
  if (path.startsWith('/') || name === '..' || name.startsWith('../')) {
    throw new RangeError(`remoteFolder: path must stay inside ${address}, got ${path}`)
  }
  return name === '.' ? '' : name
}
