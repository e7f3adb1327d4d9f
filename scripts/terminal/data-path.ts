import { resolve } from 'node:path'
import { isAddress, parseAddress } from '../../src/files/storage/address.js'
import { storageOptions } from '../../src/files/storage/storage-options.js'
import { asUsage } from './usage-error.js'

/**
 * The path or the address of a folder as a configuration keeps it: valid from any working directory.
 *
 * @throws UsageError for an address that cannot be used, as one that holds a password
 */
export function dataPath(folder: string): string
export function dataPath(folder: string | undefined): string | null
export function dataPath(folder: string | undefined): string | null {
  if (folder === undefined) return null
  return isAddress(folder) ? checkedAddress(folder) : resolve(folder)
}

/**
 * A path as it is, or an address that can be used.
 *
 * @throws UsageError for an address that cannot be used
 */
export function usablePlace(folder: string): string {
  return isAddress(folder) ? checkedAddress(folder) : folder
}

function checkedAddress(address: string): string {
  return asUsage(() => parseAddress(address, storageOptions().allowHttp).text)
}
