// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

/// \file
/// The /init of an initramfs for machines that Debian has no busybox for. It says what the script of
/// tools/make-initramfs says, line by line: the kernel, its command line, the processors, a checksum of the initramfs
/// as it arrived, and the surviving log if there is a program to print it; and powers off.

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <lobos/core/sha256.hpp>

namespace {

namespace files = std::filesystem;

std::string read_file(const files::path& path)
{
    std::ifstream file{path, std::ios::binary};
    return {std::istreambuf_iterator<char>{file}, {}};
}

std::string hash_of(const std::string& text)
{
    lobos::sha256 sum;
    sum.update(std::as_bytes(std::span{text}));
    std::string digits;
    for (const auto byte : sum.value())
        for (const unsigned shift : {4u, 0u})
            digits += "0123456789abcdef"[std::to_integer<unsigned>(std::byte{byte}) >> shift & 0xf];
    return digits;
}

/// What `find -type f | sort | xargs sha256sum | sha256sum` would say, before anything is mounted.
std::string checksum_of_everything()
{
    std::vector<std::string> names;
    for (const auto& entry : files::recursive_directory_iterator{"/"})
        if (entry.is_regular_file() && !entry.is_symlink())
            names.push_back("." + entry.path().string());
    std::sort(names.begin(), names.end());
    std::string listing;
    for (const std::string& name : names)
        listing += hash_of(read_file(name.substr(1))) + "  " + name + "\n";
    return hash_of(listing);
}

/// The line without what ends it.
std::string first_line(const std::string& text)
{
    return text.substr(0, text.find('\n'));
}

/// A list of what this kernel was told to leave alone, like /proc/iomem, which an Alpha's does not say it in: as it
/// printed the console's memory clusters, in pages, when it began. Null when there are none.
const char* list_of_reserved()
{
    static const char* const path = "/reserved";
    std::string text(static_cast<std::size_t>(klogctl(10, nullptr, 0)), '\0'); // SYSLOG_ACTION_SIZE_BUFFER
    text.resize(static_cast<std::size_t>(std::max(klogctl(3, text.data(), static_cast<int>(text.size())), 0)));
    std::ofstream list{path};
    bool any = false;
    std::istringstream lines{text};
    for (std::string line; std::getline(lines, line);) {
        unsigned long usage = 0, start = 0, end = 0; // NOLINT(google-runtime-int): what sscanf knows
        const std::size_t at = line.find("memcluster ");
        if (at == std::string::npos ||
            std::sscanf(line.c_str() + at, "memcluster %*u, usage %lx, start %lu, end %lu", &usage, &start, &end) != 3)
            continue;
        constexpr unsigned page_shift = 13;
        constexpr unsigned long of_console = 3; // NOLINT(google-runtime-int)
        if ((usage & of_console) != 0 && end > start)
            list << std::hex << (start << page_shift) << '-' << (end << page_shift) - 1 << " : Reserved\n";
        any = true;
    }
    return any ? path : nullptr;
}

void print_surviving_log(const char* program)
{
    const char* const list = list_of_reserved();
    std::printf("init: surviving log\n");
    std::fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        execl(program, program, list, nullptr);
        _exit(127);
    }
    int status = -1;
    waitpid(child, &status, 0);
    if (status != 0)
        std::printf("init: surviving log: exit status %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : status);
}

} // namespace

int main()
{
    const std::string sum = checksum_of_everything();
    for (const auto& [type, at] :
        {std::pair{"proc", "/proc"}, std::pair{"sysfs", "/sys"}, std::pair{"devtmpfs", "/dev"}})
        if (mount(type, at, type, 0, nullptr) != 0)
            std::printf("init: %s cannot be mounted\n", at);
    // The kernel must not speak in the middle of our lines.
    if (std::ofstream level{"/proc/sys/kernel/printk"}; !(level << "1\n" << std::flush))
        std::printf("init: the kernel cannot be silenced\n");

    utsname name{};
    uname(&name);
    std::printf("init: kernel: %s %s %s\n", name.sysname, name.release, name.machine);
    std::printf("init: cmdline: %s\n", first_line(read_file("/proc/cmdline")).c_str());
    std::printf("init: processors: %ld\n", sysconf(_SC_NPROCESSORS_ONLN));
    std::printf("init: memory: %s\n", first_line(read_file("/proc/meminfo")).c_str());
    std::printf("init: checksum: %s\n", sum.c_str());
    if (access("/bin/lobos-log", X_OK) == 0)
        print_surviving_log("/bin/lobos-log");
    std::printf("init: powering off\n");
    std::fflush(stdout);
    tcdrain(STDOUT_FILENO); // until the line has sent everything
    reboot(RB_POWER_OFF);
    for (;;)
        pause();
}
