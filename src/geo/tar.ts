/** Takes single files out of a package of npm: a gzipped tar, read as it comes, so that no file is twice on disk. */
import { createReadStream, createWriteStream } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'

/** POSIX.1-1988 ustar: headers and padding in blocks of 512 bytes; type '0' or NUL is a file. */
const blockBytes = 512

type Header = { name: string; size: number; isFile: boolean }

function readHeader(block: Buffer): Header | null {
  const text = (from: number, to: number) => block.toString('latin1', from, to).replace(/\0.*$/s, '')
  const name = text(0, 100)
  if (name === '') return null
  const prefix = text(345, 500)
  const type = text(156, 157)
  return {
    name: prefix === '' ? name : `${prefix}/${name}`,
    size: Number.parseInt(text(124, 136).trim() || '0', 8),
    isFile: type === '' || type === '0',
  }
}

/** Chunks of any size in, exactly as many bytes as asked for out. */
function createByteReader(source: AsyncIterable<Buffer>) {
  const chunks = source[Symbol.asyncIterator]()
  let rest: Buffer = Buffer.alloc(0)
  return {
    async *take(bytes: number): AsyncGenerator<Buffer> {
      let left = bytes
      while (left > 0) {
        if (rest.length === 0) {
          const next = await chunks.next()
          if (next.done) throw new Error('the package ends in the middle of a file')
          rest = next.value
        }
        const part = rest.subarray(0, left)
        rest = rest.subarray(part.length)
        left -= part.length
        yield part
      }
    },
    async block(): Promise<Buffer | null> {
      const parts: Buffer[] = []
      try {
        for await (const part of this.take(blockBytes)) parts.push(part)
      } catch {
        return null
      }
      return Buffer.concat(parts)
    },
  }
}

/** Writes the named files of `archive` to the paths given; throws when one is not in it. */
export async function extractFiles(archive: string, files: Readonly<Record<string, string>>): Promise<void> {
  const missing = new Set(Object.keys(files))
  const source = createReadStream(archive)
  const gunzip = createGunzip()
  // An error of the file ends what is read from it.
  source.on('error', (error) => gunzip.destroy(error))
  const reader = createByteReader(source.pipe(gunzip))
  while (missing.size > 0) {
    const block = await reader.block()
    const header = block === null ? null : readHeader(block)
    if (header === null) break
    const path = header.isFile && Object.hasOwn(files, header.name) ? files[header.name] : undefined
    const body = reader.take(header.size)
    if (path === undefined) for await (const _ of body);
    else {
      await pipeline(Readable.from(body), createWriteStream(path))
      missing.delete(header.name)
    }
    const padding = (blockBytes - (header.size % blockBytes)) % blockBytes
    for await (const _ of reader.take(padding));
  }
  source.destroy()
  gunzip.destroy()
  if (missing.size > 0) throw new Error(`the package has no ${[...missing].join(', ')}`)
}
