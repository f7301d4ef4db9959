#include "storage/image_source.hpp"

#include <curl/curl.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <memory>
#include <vector>

#include "storage/address_policy.hpp"
#include "storage/checksum.hpp"
#include "storage/file.hpp"

namespace ramet::storage {

namespace {

constexpr std::size_t kBufferBytes = 1 << 20;
constexpr std::size_t kUrlCharactersMax = 2048;
constexpr int kPollMilliseconds = 100;  // how late a cancel can be seen

struct UrlParts {
    std::string scheme;
    std::string host;
    std::string path;
};

std::string url_part(CURLU* url, CURLUPart part, unsigned flags) {
    char* text = nullptr;
    if (curl_url_get(url, part, &text, flags) != CURLUE_OK || text == nullptr) return {};
    std::string copy(text);
    curl_free(text);
    return copy;
}

std::unexpected<Error> bad_url(const std::string& why) { return fail(ErrorCode::invalid_argument, "url: " + why); }

Result<UrlParts> split_url(const std::string& text) {
    if (text.empty() || text.size() > kUrlCharactersMax) return bad_url("give an address of 1 to 2048 characters");
    for (const char character : text) {
        if (static_cast<unsigned char>(character) <= ' ' || character == '\x7f')
            return bad_url("blanks and control characters must be written as %XX");
    }
    const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> url(curl_url(), &curl_url_cleanup);
    if (url == nullptr || curl_url_set(url.get(), CURLUPART_URL, text.c_str(), CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK) {
        return bad_url("this is not a web address; write http://, https:// or file:///");
    }
    UrlParts parts{url_part(url.get(), CURLUPART_SCHEME, 0), url_part(url.get(), CURLUPART_HOST, 0),
                   url_part(url.get(), CURLUPART_PATH, CURLU_URLDECODE)};
    if (parts.scheme != "http" && parts.scheme != "https" && parts.scheme != "file")
        return bad_url("only http://, https:// and file:/// are supported");
    return parts;
}

// A file of the kernel's own is no image, whatever its name: its size is a lie and reading it may have effects.
bool is_kernel_file_system(int fd) {
    constexpr std::array<std::uint32_t, 9> kinds{PROC_SUPER_MAGIC, SYSFS_MAGIC,      DEVPTS_SUPER_MAGIC, CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC,
                                                 DEBUGFS_MAGIC,    SECURITYFS_MAGIC, TRACEFS_MAGIC,      BPF_FS_MAGIC};
    struct statfs system{};
    if (::fstatfs(fd, &system) != 0) return true;
    for (const std::uint32_t kind : kinds) {
        if (static_cast<std::uint32_t>(system.f_type) == kind) return true;
    }
    struct stat device_directory{};
    struct stat root_directory{};
    struct stat file{};
    if (::stat("/dev", &device_directory) != 0 || ::stat("/", &root_directory) != 0 || ::fstat(fd, &file) != 0) return true;
    return device_directory.st_dev != root_directory.st_dev && file.st_dev == device_directory.st_dev;
}

struct LocalFile {
    UniqueFd fd;
    std::int64_t bytes;
};

Result<LocalFile> open_local(const UrlParts& url) {
    if (!url.host.empty() && url.host != "localhost") return bad_url("a file must lie on the server itself: file:///path");
    if (url.path.empty() || url.path.front() != '/' || url.path.find('\0') != std::string::npos)
        return bad_url("a file needs its full path: file:///path");
    UniqueFd fd(::open(url.path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (!fd.valid() && errno == ELOOP) return bad_url("the file is a symbolic link; name the file it points to");
    if (!fd.valid() && (errno == ENOENT || errno == ENOTDIR)) return bad_url("there is no such file on the server");
    if (!fd.valid()) return bad_url("the server cannot open this file");
    struct stat status{};
    if (::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) return bad_url("this is not an ordinary file");
    if (is_kernel_file_system(fd.get())) return bad_url("files of the kernel's own file systems are not images");
    return LocalFile{std::move(fd), status.st_size};
}

// Where the bytes go: digests, size cap and the partial file. The first failure is kept, for curl swallows it.
class Sink {
public:
    Sink(int fd, const FetchLimits& bounds, const CopyObserver& observer, const std::optional<ExpectedChecksum>& expected)
        : fd_(fd),
          bounds_(bounds),
          observer_(observer),
          writer_(fd) {
        if (expected && expected->kind == DigestKind::sha512) sha512_.emplace(DigestKind::sha512);
    }

    // Once, as soon as the length is known; 0 or less: it is not known.
    Result<void> expect(std::int64_t total_bytes) {
        total_ = total_bytes;
        if (total_bytes > bounds_.bytes_max) return fail(ErrorCode::image_failed, "the image is larger than this server takes");
        struct statvfs system{};
        if (::fstatvfs(fd_, &system) != 0) return io_error("looking at the free space", errno);
        const auto available = static_cast<std::int64_t>(system.f_bavail) * static_cast<std::int64_t>(system.f_frsize);
        if (total_bytes > available)
            return fail(ErrorCode::storage_full, "the image does not fit into the free space; free some or use another storage");
        return {};
    }

    Result<void> append(std::span<const std::byte> bytes) {
        if (writer_.length() + static_cast<std::int64_t>(bytes.size()) > bounds_.bytes_max) {
            return fail(ErrorCode::image_failed, "the image is larger than this server takes");
        }
        md5_.update(bytes);
        sha256_.update(bytes);
        if (sha512_) sha512_->update(bytes);
        TRY(writer_.append(bytes));
        if (observer_) observer_(CopyProgress{writer_.length(), total_ > 0 ? total_ : 0});
        return {};
    }

    Result<Fetched> finish(const std::optional<ExpectedChecksum>& expected) {
        if (writer_.length() == 0) return fail(ErrorCode::image_failed, "the image is empty");
        Fetched fetched{writer_.length(), md5_.hex(), sha256_.hex()};
        if (expected) {
            const std::string found = expected->kind == DigestKind::md5      ? fetched.md5_hex
                                      : expected->kind == DigestKind::sha256 ? fetched.sha256_hex
                                                                             : sha512_->hex();
            if (found != expected->hex)
                return fail(ErrorCode::image_failed, "the image's checksum is not the expected one; it was changed or damaged on its way",
                            "found " + found);
        }
        TRY(writer_.finish());
        TRY(sync_file(fd_));
        return fetched;
    }

private:
    int fd_;
    const FetchLimits& bounds_;
    const CopyObserver& observer_;
    SparseWriter writer_;
    std::int64_t total_ = 0;
    Digest md5_{DigestKind::md5};
    Digest sha256_{DigestKind::sha256};
    std::optional<Digest> sha512_;
};

std::unexpected<Error> cancelled() { return fail(ErrorCode::cancelled, "fetching the image was cancelled"); }

std::unexpected<Error> stalled() {
    return fail(ErrorCode::image_failed, "fetching the image failed: the server does not answer or sends nothing any more; try again");
}

Result<void> copy_local(const UrlParts& url, Sink& sink, const std::stop_token& stop) {
    TRY_ASSIGN(const LocalFile source, open_local(url));
    TRY(sink.expect(source.bytes));
    std::vector<std::byte> buffer(kBufferBytes);
    for (std::int64_t offset = 0;;) {
        if (stop.stop_requested()) return cancelled();
        TRY_ASSIGN(const std::size_t got, read_at(source.fd.get(), buffer, offset));
        if (got == 0) return {};
        TRY(sink.append(std::span(buffer).first(got)));
        offset += static_cast<std::int64_t>(got);
    }
}

struct Transfer {
    CURL* curl = nullptr;
    Sink* sink = nullptr;
    bool begun = false;
    bool address_refused = false;
    std::chrono::steady_clock::time_point last_byte = std::chrono::steady_clock::now();
    std::optional<Error> error;
};

std::size_t take_bytes(char* data, std::size_t, std::size_t count, void* opaque) {
    auto& transfer = *static_cast<Transfer*>(opaque);
    transfer.last_byte = std::chrono::steady_clock::now();
    Result<void> outcome{};
    if (!transfer.begun) {
        transfer.begun = true;
        curl_off_t length = -1;
        curl_easy_getinfo(transfer.curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
        outcome = transfer.sink->expect(length);
    }
    if (outcome.has_value()) outcome = transfer.sink->append(std::as_bytes(std::span(data, count)));
    if (outcome.has_value()) return count;
    transfer.error = std::move(outcome.error());
    return CURL_WRITEFUNC_ERROR;
}

curl_socket_t open_public_socket(void* opaque, curlsocktype, curl_sockaddr* address) {
    if (!is_public_address(&address->addr, address->addrlen)) {
        static_cast<Transfer*>(opaque)->address_refused = true;
        return CURL_SOCKET_BAD;
    }
    return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

void set_options(CURL* curl, const FetchRequest& request, Transfer& transfer, char* error_text) {
    curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, static_cast<long>(limits::kDownloadRedirectsMax));
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 30L);
    curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, 512L * 1024);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "ramet");
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error_text);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &take_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
    if (!request.allow_private_addresses) {
        curl_easy_setopt(curl, CURLOPT_PROXY, "");  // a proxy would choose the address where we cannot see it
        curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, &open_public_socket);
        curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, &transfer);
    }
}

Result<void> judge(CURLcode code, Transfer& transfer, const std::string& curl_text) {
    if (transfer.error) return std::unexpected<Error>(std::move(*transfer.error));
    if (code == CURLE_OK) return {};
    const std::string detail = std::string(curl_easy_strerror(code)) + ": " + curl_text;
    if (transfer.address_refused)
        return fail(ErrorCode::image_failed, "the image's address leads into a private network, which is not allowed", detail);
    const auto failed_with = [&detail](const std::string& why) { return fail(ErrorCode::image_failed, "fetching the image failed: " + why, detail); };
    long status = 0;
    curl_easy_getinfo(transfer.curl, CURLINFO_RESPONSE_CODE, &status);
    switch (code) {
    case CURLE_HTTP_RETURNED_ERROR: return failed_with("the server answered with HTTP status " + std::to_string(status) + "; check the url");
    case CURLE_TOO_MANY_REDIRECTS: return failed_with("the server redirects too often; give the final url");
    case CURLE_UNSUPPORTED_PROTOCOL: return failed_with("the server redirects to an address that is neither http nor https");
    case CURLE_OPERATION_TIMEDOUT: return stalled();
    case CURLE_PARTIAL_FILE: return failed_with("the server closed the connection before the end; try again");
    case CURLE_COULDNT_RESOLVE_HOST: return failed_with("the server's name is not known; check the url");
    case CURLE_COULDNT_CONNECT: return failed_with("the server cannot be reached; check the url");
    case CURLE_PEER_FAILED_VERIFICATION: return failed_with("the server's certificate is not trusted");
    default: return failed_with(curl_easy_strerror(code));
    }
}

Result<void> download(const FetchRequest& request, const FetchLimits& bounds, Sink& sink, const std::stop_token& stop) {
    static const CURLcode global = curl_global_init(CURL_GLOBAL_DEFAULT);
    const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> easy(curl_easy_init(), &curl_easy_cleanup);
    const std::unique_ptr<CURLM, decltype(&curl_multi_cleanup)> multi(curl_multi_init(), &curl_multi_cleanup);
    if (global != CURLE_OK || easy == nullptr || multi == nullptr) return fail(ErrorCode::internal, "the HTTP client cannot be set up");
    std::array<char, CURL_ERROR_SIZE> error_text{};
    Transfer transfer;
    transfer.curl = easy.get();
    transfer.sink = &sink;
    set_options(easy.get(), request, transfer, error_text.data());
    if (curl_multi_add_handle(multi.get(), easy.get()) != CURLM_OK) return fail(ErrorCode::internal, "the HTTP client cannot be set up");
    Result<void> outcome{};
    for (int running = 1; running > 0;) {
        if (stop.stop_requested()) {
            outcome = cancelled();
            break;
        }
        // Not curl's low-speed bound: that one averages over seconds and takes a single byte a second for progress.
        if (std::chrono::steady_clock::now() - transfer.last_byte > bounds.stall) {
            outcome = stalled();
            break;
        }
        if (curl_multi_perform(multi.get(), &running) != CURLM_OK ||
            curl_multi_poll(multi.get(), nullptr, 0, running > 0 ? kPollMilliseconds : 0, nullptr) != CURLM_OK) {
            outcome = fail(ErrorCode::internal, "the HTTP client failed");
            break;
        }
    }
    int queued = 0;
    for (const CURLMsg* message = curl_multi_info_read(multi.get(), &queued); message != nullptr;
         message = curl_multi_info_read(multi.get(), &queued)) {
        if (message->msg == CURLMSG_DONE && outcome.has_value()) outcome = judge(message->data.result, transfer, error_text.data());
    }
    curl_multi_remove_handle(multi.get(), easy.get());
    return outcome;
}

Result<Fetched> fetch_into(int fd, const FetchRequest& request, const CopyObserver& observer, const std::stop_token& stop,
                           const FetchLimits& bounds) {
    std::optional<ExpectedChecksum> expected;
    if (request.expected_checksum) { TRY_ASSIGN(expected, parse_checksum(*request.expected_checksum)); }
    TRY_ASSIGN(const UrlParts url, split_url(request.url));
    Sink sink(fd, bounds, observer, expected);
    if (url.scheme == "file") {
        TRY(copy_local(url, sink, stop));
    } else {
        TRY(download(request, bounds, sink, stop));
    }
    return sink.finish(expected);
}

}  // namespace

Result<void> check_image_url(const std::string& url, bool allow_private_addresses) {
    TRY_ASSIGN(const UrlParts parts, split_url(url));
    if (parts.scheme != "file") {
        if (parts.host.empty()) return bad_url("the host name is missing");
        return {};
    }
    if (!allow_private_addresses) return bad_url("files of the server may not be used as images here; give an http:// or https:// address");
    if (auto file = open_local(parts); !file.has_value()) return std::unexpected<Error>(std::move(file.error()));
    return {};
}

Result<Fetched> fetch_image(const FetchRequest& request, const CopyObserver& observer, const std::stop_token& stop, const FetchLimits& bounds) {
    TRY(check_image_url(request.url, request.allow_private_addresses));
    const std::size_t slash = request.destination.rfind('/');
    if (request.destination.empty() || request.destination.front() != '/')
        return fail(ErrorCode::internal, "the destination of an image is no absolute path");
    const UniqueFd directory(::open(request.destination.substr(0, slash + 1).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory.valid()) return io_error("opening the directory of a new image", errno, request.destination);
    const std::string name = request.destination.substr(slash + 1);
    const std::string partial = name + std::string(kPartialSuffix);
    const UniqueFd file(::openat(directory.get(), partial.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file.valid()) return io_error("making the file of a new image", errno, request.destination);
    Result<Fetched> fetched = fetch_into(file.get(), request, observer, stop, bounds);
    if (fetched.has_value() && ::renameat(directory.get(), partial.c_str(), directory.get(), name.c_str()) != 0) {
        fetched = io_error("publishing an image", errno, request.destination);
    }
    if (!fetched.has_value()) {
        ::unlinkat(directory.get(), partial.c_str(), 0);
        return fetched;
    }
    TRY(sync_directory(directory.get()));
    return fetched;
}

}  // namespace ramet::storage
