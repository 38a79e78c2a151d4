// Pictures as PNG, by libpng, and depth as 16-bit PNG or NPY.
#pragma once

#include <png.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "network.hpp"

struct Picture {
    Size size{};
    std::vector<unsigned char> rgb;  // row by row, three bytes a pixel
};

inline Picture read_png(const std::string& path) {
    png_image image{};
    image.version = PNG_IMAGE_VERSION;
    if (!png_image_begin_read_from_file(&image, path.c_str())) throw std::runtime_error(path + ": " + image.message);
    image.format = PNG_FORMAT_RGB;
    Picture picture{{int(image.height), int(image.width)}, std::vector<unsigned char>(PNG_IMAGE_SIZE(image))};
    const png_color black{0, 0, 0};
    if (!png_image_finish_read(&image, &black, picture.rgb.data(), 0, nullptr))
        throw std::runtime_error(path + ": " + image.message);
    return picture;
}

inline void write_png(const std::string& path, const Picture& picture) {
    png_image image{};
    image.version = PNG_IMAGE_VERSION;
    image.height = png_uint_32(picture.size[0]);
    image.width = png_uint_32(picture.size[1]);
    image.format = PNG_FORMAT_RGB;
    if (!png_image_write_to_file(&image, path.c_str(), 0, picture.rgb.data(), 0, nullptr))
        throw std::runtime_error(path + ": " + image.message);
}

// libpng's short way takes 16 bits for light and changes them; whole numbers go the long way.
inline void write_png16(const std::string& path, const std::vector<uint16_t>& values, Size size) {
    const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "wb"), std::fclose);
    if (!file) throw std::runtime_error(path + " cannot be written");
    std::vector<unsigned char> rows(2 * values.size());
    for (size_t i = 0; i < values.size(); i++) {
        rows[2 * i] = (unsigned char)(values[i] >> 8);
        rows[2 * i + 1] = (unsigned char)(values[i] & 255);
    }
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
    png_infop info = png_create_info_struct(png);
    if (setjmp(png_jmpbuf(png))) {
        png_destroy_write_struct(&png, &info);
        throw std::runtime_error(path + " cannot be written");
    }
    png_init_io(png, file.get());
    png_set_IHDR(png, info, png_uint_32(size[1]), png_uint_32(size[0]), 16, PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (int row = 0; row < size[0]; row++) png_write_row(png, &rows[size_t(2) * row * size[1]]);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
}

// What numpy.load reads, float32, on machines with the least byte first.
inline void write_npy(const std::string& path, const Map& map) {
    std::string head = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + std::to_string(map.size[0]) + ", " +
                       std::to_string(map.size[1]) + "), }";
    head.resize(117, ' ');
    head += '\n';
    const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "wb"), std::fclose);
    if (!file) throw std::runtime_error(path + " cannot be written");
    std::fwrite("\x93NUMPY\x01\x00\x76\x00", 1, 10, file.get());
    std::fwrite(head.data(), 1, head.size(), file.get());
    std::fwrite(map.values.data(), sizeof(float), map.values.size(), file.get());
}
