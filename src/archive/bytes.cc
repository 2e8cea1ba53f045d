#include "archive/bytes.h"

#include <openssl/evp.h>
#include <zstd.h>

#include <vector>

#include "base/assert.h"

namespace keel::archive {

namespace {

Error zstd_error(std::size_t code) { return {Code::corrupt, std::string("zstd: ") + ::ZSTD_getErrorName(code)}; }

}  // namespace

Sha256::Sha256() : context_(::EVP_MD_CTX_new()) {
    KEEL_ASSERT(context_ != nullptr);
    KEEL_ASSERT(::EVP_DigestInit_ex(static_cast<EVP_MD_CTX*>(context_), ::EVP_sha256(), nullptr) == 1);
}

Sha256::~Sha256() { ::EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context_)); }

void Sha256::add(std::string_view bytes) {
    KEEL_ASSERT(::EVP_DigestUpdate(static_cast<EVP_MD_CTX*>(context_), bytes.data(), bytes.size()) == 1);
}

std::string Sha256::hex() {
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    KEEL_ASSERT(::EVP_DigestFinal_ex(static_cast<EVP_MD_CTX*>(context_), raw, &size) == 1);
    return to_hex({reinterpret_cast<char const*>(raw), size});
}

std::string to_hex(std::string_view bytes) {
    std::string out;
    for (char const c : bytes) {
        auto const byte = static_cast<unsigned char>(c);
        out += "0123456789abcdef"[byte >> 4U];
        out += "0123456789abcdef"[byte & 15U];
    }
    return out;
}

std::string sha256_hex(std::string_view bytes) {
    Sha256 hash;
    hash.add(bytes);
    return hash.hex();
}

Compressor::Compressor(Bytes out) : stream_(::ZSTD_createCStream()), out_(std::move(out)) {
    KEEL_ASSERT(stream_ != nullptr);
    auto* stream = static_cast<ZSTD_CStream*>(stream_);
    ::ZSTD_CCtx_setParameter(stream, ZSTD_c_compressionLevel, kCompressLevel);
    ::ZSTD_CCtx_setParameter(stream, ZSTD_c_checksumFlag, 1);
}

Compressor::~Compressor() { ::ZSTD_freeCStream(static_cast<ZSTD_CStream*>(stream_)); }

Status Compressor::run(std::string_view bytes, bool last) {
    std::vector<char> room(::ZSTD_CStreamOutSize());
    ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
    for (;;) {
        ZSTD_outBuffer out{room.data(), room.size(), 0};
        auto const left =
            ::ZSTD_compressStream2(static_cast<ZSTD_CStream*>(stream_), &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);
        if (::ZSTD_isError(left) != 0) return fail(zstd_error(left));
        if (out.pos > 0) KEEL_CHECK(out_({room.data(), out.pos}));
        if (last ? left == 0 : in.pos == in.size) return {};
    }
}

Status Compressor::add(std::string_view bytes) { return run(bytes, false); }
Status Compressor::finish() { return run({}, true); }

Decompressor::Decompressor(Bytes out) : stream_(::ZSTD_createDStream()), out_(std::move(out)) {
    KEEL_ASSERT(stream_ != nullptr);
}

Decompressor::~Decompressor() { ::ZSTD_freeDStream(static_cast<ZSTD_DStream*>(stream_)); }

Status Decompressor::add(std::string_view bytes) {
    std::vector<char> room(::ZSTD_DStreamOutSize());
    ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
    for (bool full = false; in.pos < in.size || full;) {
        ZSTD_outBuffer out{room.data(), room.size(), 0};
        auto const left = ::ZSTD_decompressStream(static_cast<ZSTD_DStream*>(stream_), &out, &in);
        if (::ZSTD_isError(left) != 0) return fail(zstd_error(left));
        open_ = left != 0;
        full = out.pos == out.size && open_;
        if (out.pos > 0) KEEL_CHECK(out_({room.data(), out.pos}));
    }
    return {};
}

Status Decompressor::finish() const {
    if (open_) return fail(Code::corrupt, "zstd: the stream is cut off");
    return {};
}

Result<std::string> compress(std::string_view bytes, int level) {
    std::unique_ptr<ZSTD_CCtx, decltype([](ZSTD_CCtx* one) { ::ZSTD_freeCCtx(one); })> const context(
        ::ZSTD_createCCtx());
    KEEL_ASSERT(context != nullptr);
    ::ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, level);
    ::ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
    std::string out;
    std::size_t size = 0;
    out.resize_and_overwrite(::ZSTD_compressBound(bytes.size()), [&](char* room, std::size_t most) {
        size = ::ZSTD_compress2(context.get(), room, most, bytes.data(), bytes.size());
        return ::ZSTD_isError(size) != 0 ? 0 : size;
    });
    if (::ZSTD_isError(size) != 0) return fail(zstd_error(size));
    return out;
}

Result<std::string> decompress(std::string_view bytes, std::size_t most) {
    std::string out;
    Decompressor decompressor([&](std::string_view part) -> Status {
        if (out.size() + part.size() > most) return fail(Code::exhausted, "what is stored is longer than it may be");
        out += part;
        return {};
    });
    KEEL_CHECK(decompressor.add(bytes));
    KEEL_CHECK(decompressor.finish());
    return out;
}

}  // namespace keel::archive
