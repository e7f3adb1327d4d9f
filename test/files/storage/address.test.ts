import { homedir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { isAddress, parseAddress, shownAddress } from '../../../src/files/storage/address.js'
import { storageOptions } from '../../../src/files/storage/storage-options.js'

describe('parseAddress', () => {
  test.each([
    ['https://host/a/b//', { kind: 'http', text: 'https://host/a/b' }],
    ['HTTPS://Host:8443', { kind: 'http', text: 'https://host:8443' }],
    ['http://localhost:80/x', { kind: 'http', text: 'http://localhost/x' }],
    ['http://[::1]:9/x', { kind: 'http', text: 'http://[::1]:9/x' }],
    ['http://127.0.0.2/x y', { kind: 'http', text: 'http://127.0.0.2/x%20y' }],
    ['s3://my-bucket/a/b/', { kind: 's3', bucket: 'my-bucket', prefix: 'a/b', text: 's3://my-bucket/a/b' }],
    ['s3://my.bucket', { kind: 's3', bucket: 'my.bucket', prefix: '', text: 's3://my.bucket' }],
    [
      's3://bucket/Grüße 1+1',
      { kind: 's3', bucket: 'bucket', prefix: 'Grüße 1+1', text: 's3://bucket/Grüße 1+1' },
    ],
  ])('reads %s', (text, address) => {
    expect(parseAddress(text)).toEqual(address)
  })

  test.each([
    ['ftp://host/x', 'ftp://host/x: address must begin with https://, http:// or s3://, got ftp:'],
    ['gs://bucket/x', 'gs://bucket/x: address must begin with https://, http:// or s3://, got gs:'],
    ['https://', 'https://: address must begin with https://, http:// or s3://, got no URL'],
    ['http://host/x', 'http://host: address must be https://, or http:// on this machine, got http://'],
    ['http://127.0.0.1.example/x', 'http://127.0.0.1.example: address must be https://'],
    ['https://me:secret@host/x', 'https://…@host/x: address must hold no user name or password, got some'],
    ['https://secret@host/x', 'https://…@host/x: address must hold no user name or password, got some'],
    ['s3://id:secret@bucket/x', 's3://…@bucket/x: address must hold no user name or password, got some'],
    [
      'https://host/x?sig=secret',
      'https://host/x?…: address must end with its path, got a query or fragment',
    ],
    ['https://host/x#secret', 'https://host/x?…: address must end with its path, got a query or fragment'],
    [
      'https://me:secret@ho st/?secret',
      'https://…@ho st/?…: address must begin with https://, http:// or s3://, got no URL',
    ],
    [
      's3://id:a/secret/key@bucket/x',
      's3://…@bucket/x: address must begin with https://, http:// or s3://, got no URL',
    ],
    [
      's3://bucket/a/../b',
      's3://bucket/a/../b: names between slashes must not be empty, . or .., got ".." (they would lead elsewhere)',
    ],
    ['s3://bucket/.', 'got "."'],
    ['s3://bucket/a//b', 'got ""'],
    ['s3://b/x', 's3://b/x: bucket must have 3 to 63 lower-case letters, digits, dots and hyphens, got "b"'],
    ['s3://My_Bucket/x', 'got "My_Bucket"'],
    ['s3:///x', 'got ""'],
  ])('refuses %s, and shows nothing secret', (text, message) => {
    expect(() => parseAddress(text)).toThrow(message)
    expect(() => parseAddress(text)).not.toThrow(/secret/)
  })

  test('takes http:// to another machine where that is allowed', () => {
    expect(parseAddress('http://host/x', true)).toEqual({ kind: 'http', text: 'http://host/x' })
  })
})

test('tells addresses from paths', () => {
  expect(['https://h', 'S3://b', 'gs://b/x'].map(isAddress)).toEqual([true, true, true])
  expect(['C:\\data', 'C://data', 'a/b', '/x', 'https:/h', 's3:b', '~/x://y'].map(isAddress)).toEqual([
    false,
    false,
    false,
    false,
    false,
    false,
    false,
  ])
  expect(shownAddress('https://a:b@c/d?e')).toBe('https://…@c/d?…')
  expect(shownAddress('http://localhost:80/a@b')).toBe('http://localhost:80/a@b')
})

describe('storageOptions', () => {
  test('keeps the cache where caches are, or where the environment says', () => {
    expect(storageOptions({})).toMatchObject({
      cache: join(homedir(), '.cache', 'patch-moe', 'storage'),
      cacheBytes: 20 * 2 ** 30,
      allowHttp: false,
    })
    expect(storageOptions({ XDG_CACHE_HOME: '/c' }).cache).toBe(join('/c', 'patch-moe', 'storage'))
    expect(storageOptions({ XDG_CACHE_HOME: '/c', PMOE_CACHE: '/d', PMOE_CACHE_GIB: '0.5' })).toMatchObject({
      cache: '/d',
      cacheBytes: 2 ** 29,
    })
  })

  test.each(['0', '-1', 'much', '0.06', 'NaN'])('refuses a cache of %s GiB', size => {
    expect(() => storageOptions({ PMOE_CACHE_GIB: size })).toThrow(
      `PMOE_CACHE_GIB must be a number of GiB of at least 0.0625, got ${size}`,
    )
  })
})
