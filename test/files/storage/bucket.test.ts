import { mkdtemp, rm } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { bucketAccess, bucketUrl } from '../../../src/files/storage/bucket.js'
import { remoteFolder } from '../../../src/files/storage/remote-folder.js'
import { storageOptions } from '../../../src/files/storage/storage-options.js'
import { type AskedObject, type ObjectServer, serveObjects } from './object-server.js'
import { isSignedWith } from './signature.js'

const text = (value: string) => new TextEncoder().encode(value)
const keys = { AWS_ACCESS_KEY_ID: 'AKEXAMPLE', AWS_SECRET_ACCESS_KEY: 'a/secret+key' }
const objects = {
  'bucket/p/manifest.json': text('{}'),
  "bucket/p/it's (1)+ü &.txt": text('odd name'),
  'bucket/p/deep/in/b.txt': text('b'),
  'bucket/q.txt': text('q'),
}

let root: string
let server: ObjectServer
/** What the server answers instead of objects, with its own check of signatures before. */
let answer: (asked: AskedObject, response: ServerResponse) => boolean
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'bucket-'))
  server = await serveObjects(objects, {
    answer(asked, response) {
      if (asked.request.headers.authorization && !isSignedWith(asked.request, keys.AWS_SECRET_ACCESS_KEY)) {
        refuse(response, 403, 'SignatureDoesNotMatch')
        return true
      }
      return answer(asked, response) || list(asked, response)
    },
  })
})
beforeEach(() => {
  answer = () => false
})
afterAll(async () => {
  await server.close()
  await rm(root, { recursive: true })
})

function refuse(response: ServerResponse, status: number, code: string, headers = {}): true {
  const body = `<Error><Code>${code}</Code><AWSAccessKeyId>${keys.AWS_ACCESS_KEY_ID}</AWSAccessKeyId></Error>`
  response.writeHead(status, headers).end(body)
  return true
}

/** Lists one key or folder a page, in S3's XML. */
function list({ request }: AskedObject, response: ServerResponse): boolean {
  const { pathname, searchParams } = new URL(request.url ?? '', server.address)
  if (pathname !== '/bucket/' || searchParams.get('list-type') !== '2') return false
  const prefix = searchParams.get('prefix') ?? ''
  const names = Object.keys(objects)
    .map(key => key.slice('bucket/'.length))
    .filter(key => key.startsWith(prefix))
    .map(key => prefix + key.slice(prefix.length).replace(/\/.*/, '/'))
  const at = Number(/\d+/.exec(searchParams.get('continuation-token') ?? '')?.[0] ?? 0)
  const name = names[at]
  const encoded = encodeURIComponent(name ?? '')
    .replaceAll('%20', '+')
    .replaceAll('%2F', '/')
  const item = name?.endsWith('/')
    ? `<CommonPrefixes><Prefix>${encoded}</Prefix></CommonPrefixes>`
    : `<Contents><Key>${encoded}</Key></Contents>`
  const next = at + 1 < names.length ? `<NextContinuationToken>a&amp;${at + 1}</NextContinuationToken>` : ''
  response.end(
    `<ListBucketResult><EncodingType>url</EncodingType><Prefix>${prefix}</Prefix>${name === undefined ? '' : item}${next}</ListBucketResult>`,
  )
  return true
}

const folder = (address: string, env: Readonly<Record<string, string>> = keys) =>
  remoteFolder(address, {
    ...storageOptions({ AWS_ENDPOINT_URL: server.address, PMOE_CACHE: join(root, 'cache'), ...env }),
    retrying: { retries: 1, waitMs: 1, idleMs: 2000 },
    fresh: true,
  })

describe('a folder of a bucket', () => {
  test('is read with signed requests, whatever its names are', async () => {
    const source = folder('s3://bucket/p/')
    expect(await source.read("it's (1)+ü &.txt")).toEqual(text('odd name'))
    expect(source.describe('deep/in/b.txt')).toBe('s3://bucket/p/deep/in/b.txt')
    expect(await source.exists('q.txt')).toBe(false)
    expect(server.asked.at(-1)?.request.headers).toMatchObject({
      authorization: expect.stringContaining('/us-east-1/s3/aws4_request'),
    })
  })

  test('is read with a session token and in a region', async () => {
    await folder('s3://bucket', { ...keys, AWS_SESSION_TOKEN: 'token', AWS_REGION: 'eu-north-1' }).read(
      'q.txt',
    )
    const { headers } = (server.asked.at(-1) as AskedObject).request
    expect(headers['x-amz-security-token']).toBe('token')
    expect(headers.authorization).toMatch(
      /\/eu-north-1\/s3\/aws4_request, SignedHeaders=[^,]*x-amz-security-token/,
    )
  })

  test('is read without a signature where there are no keys', async () => {
    await folder('s3://bucket', {}).read('q.txt')
    expect(server.asked.at(-1)?.request.headers.authorization).toBeUndefined()
  })

  test('is listed, over as many pages as it takes', async () => {
    const source = folder('s3://bucket/p')
    expect(await source.list('')).toEqual(['deep/', "it's (1)+ü &.txt", 'manifest.json'])
    expect(await source.list('deep')).toEqual(['in/'])
    expect(await folder('s3://bucket').list('')).toEqual(['p/', 'q.txt'])
    await expect(source.list('none')).rejects.toThrow(
      new Error('s3://bucket/p/none/: folder must be readable, got nothing there'),
    )
  })

  test('is listed where the service does not encode names', async () => {
    answer = (_, response) => {
      response.end(
        '<ListBucketResult><Contents><Key>a+b%41 &amp; 100%.txt</Key></Contents></ListBucketResult>',
      )
      return true
    }
    expect(await folder('s3://bucket').list('')).toEqual(['a+b%41 & 100%.txt'])
  })

  test('is not listed for ever by a service that gives a page again', async () => {
    answer = (_, response) => {
      response.end('<ListBucketResult><NextContinuationToken>x</NextContinuationToken></ListBucketResult>')
      return true
    }
    await expect(folder('s3://bucket/p').list('')).rejects.toThrow(
      new Error('s3://bucket/p/: pages of the list must follow each other, got the same one twice'),
    )
  })

  test('is refused with the code of the service and what to do, and without keys', async () => {
    const signed =
      'signed with the keys of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; without the right to list, what is missing is refused as well'
    const wrong = { ...keys, AWS_SECRET_ACCESS_KEY: 'another' }
    await expect(folder('s3://bucket', wrong).read('q.txt')).rejects.toThrow(
      new RegExp(
        `^s3://bucket/q.txt: must be readable, got status 403 SignatureDoesNotMatch \\(${signed}\\)$`,
      ),
    )
    answer = (_, response) => refuse(response, 403, 'AccessDenied')
    await expect(folder('s3://bucket', {}).list('')).rejects.toThrow(
      /^s3:\/\/bucket\/: must be readable, got status 403 AccessDenied \(not signed, as AWS_ACCESS_KEY_ID is not set\)$/,
    )
    answer = (_, response) =>
      refuse(response, 301, 'PermanentRedirect', { 'x-amz-bucket-region': 'eu-west-3' })
    await expect(folder('s3://bucket').read('q.txt')).rejects.toThrow(
      's3://bucket/q.txt: must be readable, got status 301 PermanentRedirect (the bucket is in eu-west-3: set AWS_REGION)',
    )
    answer = (_, response) => refuse(response, 404, 'NoSuchBucket')
    await expect(folder('s3://bucket').read('q.txt')).rejects.toThrow(
      's3://bucket/q.txt: must be readable, got nothing there (NoSuchBucket)',
    )
    answer = (_, response) => refuse(response, 503, 'SlowDown')
    await expect(folder('s3://bucket').read('q.txt')).rejects.toThrow(
      's3://bucket/q.txt: must be readable, got status 503 SlowDown (tried 2 times)',
    )
  })

  test('sends nothing secret to where a request is redirected', async () => {
    const other = await serveObjects({ 'q.txt': text('elsewhere') })
    try {
      answer = (_, response) =>
        response.writeHead(307, { location: `${other.address}/q.txt` }).end() !== undefined
      const source = folder('s3://bucket', { ...keys, AWS_SESSION_TOKEN: 'token' })
      expect(await source.read('q.txt')).toEqual(text('elsewhere'))
      const sent = JSON.stringify(other.asked[0]?.request.headers)
      expect(sent).not.toMatch(/authorization|amz|token|AKEXAMPLE/i)
    } finally {
      await other.close()
    }
  })
})

describe('bucketAccess', () => {
  test('puts the bucket before the host of AWS, and behind it where its name has dots', () => {
    const access = bucketAccess({ AWS_DEFAULT_REGION: 'eu-west-1' }, false)
    expect(bucketUrl(access, 'photos', 'a b/c+d').href).toBe(
      'https://photos.s3.eu-west-1.amazonaws.com/a%20b/c%2Bd',
    )
    expect(bucketUrl(access, 'my.photos', 'x').href).toBe('https://s3.eu-west-1.amazonaws.com/my.photos/x')
    const own = bucketAccess({ AWS_ENDPOINT_URL: 'https://a', AWS_ENDPOINT_URL_S3: 'https://b/s3/' }, false)
    expect(bucketUrl(own, 'photos', 'x').href).toBe('https://b/s3/photos/x')
  })

  test.each([
    [
      { AWS_ACCESS_KEY_ID: 'x' },
      'AWS_SECRET_ACCESS_KEY must be set with the other key of s3://, got the ID alone',
    ],
    [
      { AWS_SECRET_ACCESS_KEY: 'x' },
      'AWS_ACCESS_KEY_ID must be set with the other key of s3://, got the secret alone',
    ],
    [
      { ...keys, AWS_SECRET_ACCESS_KEY: 'secret@key\r' },
      'AWS_SECRET_ACCESS_KEY must hold printable ASCII characters without spaces, got 1 of another kind (such as a line end)',
    ],
    [
      { ...keys, AWS_SESSION_TOKEN: 'secret@\n token ü' },
      'AWS_SESSION_TOKEN must hold printable ASCII characters without spaces, got 4 of another kind',
    ],
    [
      { AWS_ENDPOINT_URL: 'minio:9000' },
      'AWS_ENDPOINT_URL must be an http(s) address without password and query',
    ],
    [
      { AWS_ENDPOINT_URL: 'https://me:secret@host' },
      'AWS_ENDPOINT_URL must be an http(s) address without password',
    ],
    [
      { AWS_ENDPOINT_URL: 'http://minio:9000' },
      'http://minio:9000: address must be https://, or http:// on this machine',
    ],
  ])('refuses %j, and shows nothing secret', (env, message) => {
    expect(() => bucketAccess(env, false)).toThrow(message)
    expect(() => bucketAccess(env, false)).not.toThrow(/secret@/)
  })

  test('takes http:// to other machines where that is allowed', () => {
    expect(storageOptions({ PMOE_ALLOW_HTTP: '1', AWS_ENDPOINT_URL: 'http://minio:9000' })).toMatchObject({
      allowHttp: true,
      bucket: { endpoint: 'http://minio:9000' },
    })
  })
})
